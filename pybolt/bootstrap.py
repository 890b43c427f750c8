"""Django, before the app is imported: attached to a project's settings, or embedded.

Attached: ``settings:`` of the file or ``DJANGO_SETTINGS_MODULE``; the project is used as it is.
Embedded: no settings at all; a minimal Django over SQLite, in which the app's own file or package
is an installed app whose models are migrated on first run.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .config.importing import ImportFailed, explained


class SettingsFailed(ImportFailed):
    """The settings module cannot be used."""


def is_attached(settings: str | None) -> bool:
    """Whether a project's settings are used."""
    return bool(settings or os.environ.get("DJANGO_SETTINGS_MODULE"))


def setup(settings: str | None, app_module: str | None) -> None:
    """Sets Django up, once in a process. Raises :class:`SettingsFailed` where the settings module
    is at fault, else :class:`ImportFailed`: embedded, this imports the app.

    ``settings``: a settings module; ``app_module``: the module of the app, for embedded mode.
    """
    import django
    from django.apps import apps
    from django.conf import settings as conf

    from .django import connections

    if settings:
        os.environ["DJANGO_SETTINGS_MODULE"] = settings
    doing = f"importing `{app_module}`" if app_module else "setting Django up"
    if is_attached(settings):
        doing, app_module = import_settings(), None
    elif not conf.configured:
        with explained(doing, app_module):
            conf.configure(**_embedded(app_module))
    if not apps.ready:
        with explained(doing, app_module):
            django.setup()
        for app in apps.get_app_configs():
            if hasattr(app, "is_package") and not migrations_directory(app).is_dir():
                # Django takes a named module that is not there for a mistake.
                conf.MIGRATION_MODULES[app.label] = None
    connections.install()


def import_settings() -> str:
    """Has Django read its settings; what is done with them next, for messages. Raises
    :class:`SettingsFailed`."""
    from django.conf import settings as conf

    name = os.environ["DJANGO_SETTINGS_MODULE"]
    try:
        with explained(f"importing the settings module `{name}`", name):
            _ = conf.INSTALLED_APPS
    except ImportFailed as error:
        raise SettingsFailed(error.message, error.hint, error.position) from error
    return f"setting Django up with `{name}`"


def _embedded(app_module: str | None) -> dict[str, Any]:
    from .conf import embedded_settings

    if app_module is None:
        return embedded_settings([], {})
    app = _app_of(app_module)
    return embedded_settings([app], {app.label: _migrations_module(app)})


def _migrations_module(app: Any) -> str:
    return f"{app.name}.migrations" if app.is_package else f"{app.label}_migrations"


def _app_of(module: str) -> Any:
    """The installed app that ``module``'s models belong to: its package, or the file itself."""
    from django.apps import AppConfig

    name = module.rpartition(".")[0] or module
    spec = importlib.util.find_spec(name)
    if spec is None:
        raise ModuleNotFoundError(f"there is no module {name}", name=name)
    package = spec.submodule_search_locations is not None
    # A directory without `__init__.py` is a package as well, one without a file of its own.
    places = list(spec.submodule_search_locations or [])
    directory = str(Path(spec.origin).parent) if spec.origin else places[0]

    class FileApp(AppConfig):  # type: ignore[misc]
        """An app whose models may be in the app file itself.

        Django imports an app before models may be made; this one is imported with the models.
        """

        path = directory
        is_package = package

        def import_models(self) -> None:
            self.models = self.apps.all_models[self.label]
            if importlib.util.find_spec(f"{name}.models") if self.is_package else None:
                self.models_module = importlib.import_module(f"{name}.models")
            importlib.import_module(module)

    stub = types.ModuleType(name)
    stub.__file__ = spec.origin
    return FileApp(name, stub)


def prepare_database(report: Callable[[str], None]) -> None:
    """Embedded mode: makes the first migrations of the app's models and applies what is missing.

    ``report`` gets a line for each thing done.
    """
    from django.apps import apps
    from django.core.management import call_command
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    ours = [app for app in apps.get_app_configs() if hasattr(app, "is_package")]
    for app in ours:
        directory = migrations_directory(app)
        if any(app.get_models()) and not any(directory.glob("[0-9]*.py")):
            report(f"making the first migrations of {app.label} in {directory}")
            make_migrations_package(app)
            call_command("makemigrations", app.label, verbosity=0, interactive=False)
    try:
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if plan:
            what = "1 migration" if len(plan) == 1 else f"{len(plan)} migrations"
            report(f"applying {what} to {connection.settings_dict['NAME']}")
            call_command("migrate", verbosity=0, interactive=False)
        changed = {app.label for app in ours} & _changed_apps(executor)
    finally:
        connection.close()
    for label in sorted(changed):
        report(f"warning: models of {label} differ from its migrations: bolt makemigrations")


def warn_of_unapplied_migrations(report: Callable[[str], None]) -> None:
    """Attached mode: says which migrations are missing, as ``runserver`` does; applies none."""
    from django.core.exceptions import ImproperlyConfigured
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    try:
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except ImproperlyConfigured:
        # A project without a database has no migrations.
        return
    except Exception as error:
        # Whatever it is, it does not keep the project from being served.
        report(f"warning: the state of the migrations is not known: {error}")
        return
    finally:
        connection.close()
    if plan:
        labels = ", ".join(sorted({migration.app_label for migration, _ in plan}))
        what = "1 migration is" if len(plan) == 1 else f"{len(plan)} migrations are"
        report(f"warning: {what} not applied ({labels}): bolt migrate")


def _changed_apps(executor: Any) -> set[str]:
    """The labels of the apps whose models have moved on from their migrations."""
    from django.apps import apps
    from django.db.migrations.autodetector import MigrationAutodetector
    from django.db.migrations.state import ProjectState

    loader = executor.loader
    detector = MigrationAutodetector(loader.project_state(), ProjectState.from_apps(apps))
    return set(detector.changes(graph=loader.graph))


def migrations_directory(app: Any) -> Path:
    """Where an embedded app's migrations are."""
    return Path(app.path) / _migrations_module(app).rpartition(".")[2]


def make_migrations_package(app: Any) -> None:
    """Makes the package that migrations are written to."""
    from django.conf import settings

    directory = migrations_directory(app)
    directory.mkdir(exist_ok=True)
    (directory / "__init__.py").touch()
    importlib.invalidate_caches()
    settings.MIGRATION_MODULES[app.label] = _migrations_module(app)

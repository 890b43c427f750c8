"""Django's own commands, on the project that bolt would serve."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Sequence

from ..config import RunOptions, load
from ..config.diagnostics import render


def _setup(options: RunOptions) -> bool:
    """Sets Django up as a worker would; prints why it cannot."""
    found = [item for item in load(options).diagnostics if item.is_error]
    if found:
        print(render(found), file=sys.stderr)
    return not found


def manage(options: RunOptions, command: str, arguments: Sequence[str]) -> int:
    """Runs a management command."""
    if not _setup(options):
        return 1
    from django.apps import apps
    from django.core.management import call_command

    from .. import bootstrap

    label = arguments[0] if arguments and not arguments[0].startswith("-") else None
    if label is not None and label not in apps.app_configs:
        known = ", ".join(sorted(apps.app_configs))
        _complain(command, f"there is no app with the label `{label}`; there are {known}")
        return 2
    if command == "makemigrations":
        for app in apps.get_app_configs():
            if hasattr(app, "is_package") and any(app.get_models()):
                bootstrap.make_migrations_package(app)
    return _attempt(command, lambda: call_command(command, *arguments))


def _attempt(command: str, action: Callable[[], object]) -> int:
    """Does it; what Django refuses and what the database says is one line, and exit code 1."""
    from django.core.management import CommandError
    from django.db import DatabaseError, InterfaceError

    try:
        action()
    except SystemExit as ended:
        # `makemigrations --check` and the like tell their result so.
        return ended.code if isinstance(ended.code, int) else 1
    except CommandError as error:
        _complain(command, error)
        return int(error.returncode)
    except (DatabaseError, InterfaceError) as error:
        missing = "no such table" in str(error) or "does not exist" in str(error)
        _complain(command, f"{error}; `bolt migrate` makes its tables" if missing else error)
        return 1
    return 0


def create_user(options: RunOptions, username: str, password: str | None) -> int:
    """Makes a user, or sets the password of the one that is there."""
    if not _setup(options):
        return 1
    if password is None:
        stdin = sys.stdin
        password = getpass.getpass() if stdin.isatty() else stdin.readline().rstrip("\n")
    if not password:
        _complain("createuser", "the password may not be empty")
        return 2
    return _attempt("createuser", lambda: _set_password(username, password))


def _set_password(username: str, password: str) -> None:
    from django.contrib.auth import get_user_model

    user, created = get_user_model()._default_manager.get_or_create(username=username)
    user.set_password(password)
    user.save()
    print(f"user {username} {'made' if created else 'has a new password'}")


def _complain(command: str, message: object) -> None:
    print(f"bolt {command}: {' '.join(str(message).split())}", file=sys.stderr)

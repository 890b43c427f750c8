"""Django's own commands, on the project that bolt would serve."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Sequence

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
    from django.core.management import CommandError, call_command

    from .. import bootstrap

    label = arguments[0] if arguments and not arguments[0].startswith("-") else None
    if label is not None and label not in apps.app_configs:
        known = ", ".join(sorted(apps.app_configs))
        _complain(f"{command}: there is no app with the label `{label}`; there are {known}")
        return 2
    if command == "makemigrations":
        for app in apps.get_app_configs():
            if hasattr(app, "is_package") and any(app.get_models()):
                bootstrap.make_migrations_package(app)
    try:
        call_command(command, *arguments)
    except CommandError as error:
        _complain(f"{command}: {error}")
        return int(error.returncode)
    except SystemExit as ended:
        # `makemigrations --check` and the like tell their result so.
        return ended.code if isinstance(ended.code, int) else 1
    return 0


def create_user(options: RunOptions, username: str, password: str | None) -> int:
    """Makes a user, or sets the password of the one that is there."""
    if not _setup(options):
        return 1
    from django.contrib.auth import get_user_model
    from django.db import DatabaseError

    if password is None:
        stdin = sys.stdin
        password = getpass.getpass() if stdin.isatty() else stdin.readline().rstrip("\n")
    if not password:
        _complain("createuser: the password may not be empty")
        return 2
    try:
        user, created = get_user_model()._default_manager.get_or_create(username=username)
        user.set_password(password)
        user.save()
    except DatabaseError as error:
        _complain(f"createuser: {error}; is the database there? `bolt migrate` makes its tables")
        return 1
    print(f"user {username} {'made' if created else 'has a new password'}")
    return 0


def _complain(message: str) -> None:
    print(f"bolt {message}", file=sys.stderr)

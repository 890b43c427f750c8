"""Django's own commands, on the project that bolt would serve."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable

from ..config import RunOptions, load
from ..config.diagnostics import render


def _setup(options: RunOptions) -> bool:
    """Sets Django up as a worker would; prints why it cannot."""
    found = [item for item in load(options).diagnostics if item.is_error]
    if found:
        print(render(found), file=sys.stderr)
    return not found


def manage(options: RunOptions, command: str, arguments: list[str]) -> int:
    """Runs a management command."""
    if not _setup(options):
        return 1
    from django.apps import apps
    from django.core.management import call_command

    from .. import bootstrap

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
    except (CommandError, DatabaseError, InterfaceError) as error:
        print(f"bolt {command}: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


def create_user(options: RunOptions, username: str, password: str | None) -> int:
    """Makes a user, or sets the password of the one that is there."""
    if not _setup(options):
        return 1
    if password is None:
        stdin = sys.stdin
        password = getpass.getpass() if stdin.isatty() else stdin.readline().rstrip("\n")
    return _attempt("createuser", lambda: _set_password(username, password))


def _set_password(username: str, password: str) -> None:
    from django.contrib.auth import get_user_model

    user, created = get_user_model()._default_manager.get_or_create(username=username)
    user.set_password(password)
    user.save()
    print(f"user {username} {'made' if created else 'has a new password'}")

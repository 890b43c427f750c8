"""Commands that are Django's own: migrations and users."""

from __future__ import annotations

from .. import arguments
from .command import APP, Commands, Parser, add_command

_WORDS = """\
The first word is the APP if it is a file or has a colon; all others are handed to Django, and so
is everything behind `--`.

examples:
"""

_MIGRATE = f"""{_WORDS}\
  bolt migrate
  bolt migrate app.py
  bolt migrate articles 0001 -- --fake
"""

_MAKEMIGRATIONS = f"""{_WORDS}\
  bolt makemigrations app.py
  bolt makemigrations articles -- --name add_title
"""

_MIGRATIONS = f"""{_WORDS}\
  bolt migrations
  bolt migrations app.py
"""

_CREATEUSER = """\
A user who is there gets the new password.

examples:
  bolt createuser ann
  bolt createuser ann app.py < password.txt
"""


def of_django(commands: Commands[Parser]) -> None:
    """Adds them."""
    for name, what, epilog, words in (
        ("migrate", "apply Django's migrations", _MIGRATE, "[APP] [LABEL [MIGRATION]]"),
        ("makemigrations", "write Django's migrations", _MAKEMIGRATIONS, "[APP] [LABEL ...]"),
        ("migrations", "show which migrations are applied", _MIGRATIONS, "[APP] [LABEL ...]"),
    ):
        command = add_command(commands, name, what, epilog)
        command.usage = f"bolt {name} [--config FILE] {words} [-- OPTIONS]"
        command.add_argument("words", nargs="*", metavar=words, help="APP: " + APP)
    user = add_command(
        commands, "createuser", "make a Django user, or give one a password", _CREATEUSER
    )
    user.add_argument("username", metavar="USERNAME", type=arguments.not_empty, help="who")
    user.add_argument("app", nargs="?", metavar="APP", help=APP)
    user.add_argument(
        "--password",
        type=arguments.not_empty,
        help="the password; others can see it in the list of processes (default: asked for, or "
        "the first line of standard input)",
    )

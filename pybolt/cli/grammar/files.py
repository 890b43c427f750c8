"""Commands about files of configurations: ``diff``, ``schema``, ``init``."""

from __future__ import annotations

from .command import Commands, Parser, output_format

_DIFF = """\
What lets more through comes first. Exit codes: 0 nothing does, 3 something does, 1 a file is
wrong, 2 usage. A change that nobody can judge counts as one that lets more through. Handlers are
not imported; secrets are compared and not shown.

examples:
  git show main:bolt.yaml > /tmp/old.yaml && bolt diff /tmp/old.yaml bolt.yaml
  bolt diff old.yaml new.yaml --format json
"""

_SCHEMA = """\
Editors read it where a configuration begins with
  # yaml-language-server: $schema=./bolt.schema.json

examples:
  bolt schema --write                      to ./bolt.schema.json
  bolt schema --check                      whether that is still the one of this version
"""

_INIT = """\
Every line names the setting that it comes from; what has no counterpart is listed and nothing is
guessed. Nothing of the project is run but its settings.

examples:
  bolt init                                what ./manage.py names, to ./bolt.yaml
  bolt init --settings mysite.settings --output -
"""


def describing(commands: Commands[Parser]) -> None:
    """Adds ``diff`` and ``schema``."""
    diff = commands.add_parser(
        "diff",
        help="show what a new configuration changes, policies that are loosened first",
        description="Show what a new configuration changes for each route.",
        epilog=_DIFF,
    )
    diff.add_argument("old", metavar="OLD", help="a configuration file")
    diff.add_argument("new", metavar="NEW", help="the one that comes instead")
    output_format(diff)
    schema = commands.add_parser(
        "schema",
        help="print the JSON Schema of a configuration",
        description="Print the JSON Schema (2020-12) of a configuration.",
        epilog=_SCHEMA,
    )
    schema.add_argument(
        "file",
        nargs="?",
        default="bolt.schema.json",
        metavar="FILE",
        help="what --write and --check speak of (default: bolt.schema.json)",
    )
    how = schema.add_mutually_exclusive_group()
    how.add_argument("--write", action="store_true", help="write it to FILE (default: off)")
    how.add_argument(
        "--check",
        action="store_true",
        help="end with 1 where FILE is not the schema of this version (default: off)",
    )


def writing(commands: Commands[Parser]) -> None:
    """Adds ``init``."""
    what = "write a first bolt.yaml from a Django project's settings"
    init = commands.add_parser(
        "init", help=what, description=what[:1].upper() + what[1:] + ".", epilog=_INIT
    )
    init.add_argument(
        "--settings",
        metavar="MODULE",
        help="the settings (default: DJANGO_SETTINGS_MODULE, else what ./manage.py names)",
    )
    init.add_argument(
        "--output",
        default="bolt.yaml",
        metavar="FILE",
        help="where to; `-`: standard output (default: bolt.yaml)",
    )
    init.add_argument(
        "--force", action="store_true", help="write over a file that is there (default: off)"
    )

"""The command line's grammar: commands, options, help."""

from __future__ import annotations

import argparse
import platform
from importlib import metadata
from typing import Any

from .command import Parser
from .files import describing, writing
from .inspecting import inspecting
from .project import of_django
from .serving import serving

__all__ = ["parser"]

_EPILOG = """\
examples:
  bolt run shop.api:api                    routes declared in Python
  bolt run --config bolt.yaml              routes declared in YAML
  bolt run app.py --config bolt.yaml       both: policies of the file on the app's routes
  bolt check                               every mistake of ./bolt.yaml at once
  bolt explain GET /items/7 -H 'Origin: https://app.example.com'

APP is `module:attribute` or `path/to/file.py[:attribute]`; the attribute is `api` where none is
written. Without APP and --config, ./bolt.yaml is used. `bolt COMMAND --help` tells more.
Exit codes: 0 fine, 1 the configuration is wrong, 2 usage; `bolt diff` also 3.
"""


class _Version(argparse.Action):
    """``--version``; the versions are looked up only when they are asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        try:
            own = metadata.version("pybolt")
        except metadata.PackageNotFoundError:
            own = "(not installed)"
        python, django = platform.python_version(), metadata.version("django")
        print(f"bolt {own} (Python {python}, Django {django})")
        parser.exit()


def parser() -> Parser:
    """The whole command line."""
    root = Parser(
        prog="bolt",
        description="Routing and middleware in Rust for Django and Python.",
        epilog=_EPILOG,
    )
    root.add_argument("--version", action=_Version, nargs=0, help="show the versions and end")
    commands = root.add_subparsers(dest="command", metavar="COMMAND")
    serving(commands)
    inspecting(commands)
    describing(commands)
    writing(commands)
    of_django(commands)
    return root

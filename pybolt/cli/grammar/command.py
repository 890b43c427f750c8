"""What every command has: how it is made, what it says of wrong usage."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence
from typing import Any, NoReturn

APP = "module:attribute or path/to/file.py[:attribute] (attribute: api)"


class Parser(argparse.ArgumentParser):
    """Says what is wrong with the usage of the command itself, and what was probably meant."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options
        )

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """As argparse does; what is left over is an error here, where the usage is known."""
        found, left = super().parse_known_args(args, namespace)
        if left:
            self.error(f"unknown argument `{left[0]}`{self._meant(left[0])}")
        return found, left

    def _meant(self, word: str) -> str:
        near = difflib.get_close_matches(word, self._option_string_actions, 1)
        if near:
            return f"; did you mean `{near[0]}`?"
        takes_words = any(action.dest == "words" for action in self._actions)
        return "; what is Django's goes behind `--`" if takes_words else ""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.dest == "command" and action.choices and value not in action.choices:
            near = difflib.get_close_matches(str(value), list(action.choices), 1)
            meant = f"; did you mean `{near[0]}`?" if near else f": {', '.join(action.choices)}"
            self.error(f"there is no command `{value}`{meant}")
        super()._check_value(action, value)

    def error(self, message: str) -> NoReturn:
        """The usage, the message, where there is more; ends the process."""
        more = f"{self.prog}: {message}\ntry `{self.prog} --help`\n"
        self.exit(2, f"{self.format_usage()}{more}")


Commands = argparse._SubParsersAction  # the type has no public name


def add_command(commands: Commands[Parser], name: str, what: str, epilog: str) -> Parser:
    """One that takes a configuration."""
    made = commands.add_parser(
        name, help=what, description=what[:1].upper() + what[1:] + ".", epilog=epilog
    )
    made.add_argument(
        "--config",
        metavar="FILE",
        help="the configuration (default: ./bolt.yaml where no APP is given, else none)",
    )
    return made


def output_format(command: Parser, *more: str, help: str = "for people or for programs") -> None:
    """``--format``; ``more``: than text and JSON."""
    choices = ("text", "json", *more)
    command.add_argument(
        "--format", choices=choices, default="text", help=f"{help} (default: text)"
    )

"""The command line's grammar: commands, options, help."""

from __future__ import annotations

import argparse
import difflib
import platform
from collections.abc import Sequence
from importlib import metadata
from typing import Any, NoReturn

from . import arguments

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

_RUN = """\
examples:
  bolt run app.py
  bolt run shop.api:api --workers auto --port 8080
  bolt run app.py --reload                 while you work on it
  bolt run --watch                         reload ./bolt.yaml when it changes
"""

_RELOAD = """\
All workers serve the new version, or all go on with the old one; no connection is closed. What
takes a restart (listen, workers, app, settings, Python threads, changed code) is refused whole.
SIGHUP does the same without waiting.

examples:
  bolt reload                              the server of ./bolt.yaml
  bolt reload app.py --config bolt.yaml    named as for `bolt run`
  bolt reload --pid 4711
"""

_STATUS = """\
examples:
  bolt status
  bolt status --format json
"""

_MAINTENANCE = """\
It holds until it is switched again, over reloads and for workers that are replaced, and ends with
the server. Who is let in and what the others are told is what `maintenance` says in the
configuration, if anything. Routes with `health` stay open.

examples:
  bolt maintenance on
  bolt maintenance off --route /status
  bolt maintenance on --group shop
  bolt maintenance reset                   as configured again
"""

_CHECK = """\
Findings go to standard output; `bolt run` writes the same to standard error before it gives up.

examples:
  bolt check                               ./bolt.yaml
  bolt check app.py --config bolt.yaml --strict
  bolt check --online                      and every JWKS URL and Redis, for ten seconds each
  bolt check --format sarif > bolt.sarif   for code scanning
  bolt check --explain E014                what a code means, and what to do
"""

_EXPLAIN = """\
Nothing is served, run or logged: the request goes through the same engine without its handlers.

examples:
  bolt explain GET /items/7
  bolt explain POST /items app.py -H 'Authorization: Bearer ...'
  bolt explain GET /admin/ --peer 10.1.2.3
  bolt explain OPTIONS /items -H 'Origin: https://app.example.com' \\
      -H 'Access-Control-Request-Method: POST'
"""

_ROUTES = """\
examples:
  bolt routes
  bolt routes --django           which of the project's URLs nobody would answer
"""

_DUMP = """\
Secrets are not shown: nothing of a secret option, of a value that was read by ${file:...}, or of
a password in a URL. The YAML can be loaded again once they are filled in.

examples:
  bolt dump --resolved
  bolt dump --resolved --format json shop.api:api
"""

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

_APP = "module:attribute or path/to/file.py[:attribute] (attribute: api)"


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
    _serving(commands)
    _inspecting(commands)
    _describing(commands)
    _writing(commands)
    _of_django(commands)
    return root


def _writing(commands: Commands[Parser]) -> None:
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


Commands = argparse._SubParsersAction  # the type has no public name


def _serving(commands: Commands[Parser]) -> None:
    run = _command(commands, "run", "serve an app, a configuration, or both", _RUN)
    run.add_argument("app", nargs="?", metavar="APP", help=_APP)
    run.add_argument(
        "--host", help="listen on this address (default: `server.listen`, else 127.0.0.1)"
    )
    run.add_argument(
        "--port",
        type=arguments.port,
        help="listen on this port; 0: any free one (default: `server.listen`, else 8000)",
    )
    run.add_argument(
        "--workers",
        type=arguments.workers,
        metavar="N|auto",
        help="how many processes; auto: one for each core (default: `server.workers`, else 1)",
    )
    run.add_argument(
        "--reload",
        action="store_true",
        help="serve anew when a file below this directory changes, and log every request unless "
        "`access_log` says otherwise (default: off)",
    )
    run.add_argument(
        "--watch",
        action="store_true",
        help="reload when a file that the configuration is read from changes (default: off)",
    )
    run.add_argument(
        "--control",
        metavar="PATH|off",
        help="where `bolt reload` and `status` find this server (default: a socket of its own in "
        "$XDG_RUNTIME_DIR/pybolt or /tmp/pybolt-UID)",
    )
    _controlling(commands)


def _controlling(commands: Commands[Parser]) -> None:
    again = _command(commands, "reload", "have a server read its configuration again", _RELOAD)
    status = _command(commands, "status", "tell how a server and its workers are", _STATUS)
    switch = _command(
        commands, "maintenance", "close or open routes of a server that runs", _MAINTENANCE
    )
    switch.add_argument("switch", choices=("on", "off", "reset"), help="close, open, as configured")
    for command in (again, status, switch):
        command.add_argument("app", nargs="?", metavar="APP", help=_APP)
        command.add_argument(
            "--control", metavar="PATH", help="its control socket (default: found by its names)"
        )
        which = command.add_mutually_exclusive_group()
        which.add_argument(
            "--pid", type=arguments.pid, help="its process (default: the only one there is)"
        )
        which.add_argument(
            "--pidfile", metavar="FILE", type=arguments.pidfile, help="a file with its PID"
        )
    _format(status)
    part = switch.add_mutually_exclusive_group()
    part.add_argument("--group", metavar="NAME", help="the routes of a group (default: all)")
    part.add_argument("--route", metavar="PATH", help="one path, as it is declared (default: all)")


def _inspecting(commands: Commands[Parser]) -> None:
    check = _command(commands, "check", "find every mistake without starting anything", _CHECK)
    check.add_argument("app", nargs="?", metavar="APP", help=_APP)
    _format(check, "sarif", help="for people, for programs, or SARIF 2.1.0 for code scanning")
    check.add_argument(
        "--online",
        action="store_true",
        help="also fetch keys at URLs and ask stores of limits, as a server would (default: off)",
    )
    check.add_argument(
        "--explain",
        metavar="CODE",
        type=str.upper,
        help="instead, tell what a code means, with an example (default: off)",
    )
    check.add_argument(
        "--strict", action="store_true", help="take warnings for errors (default: off)"
    )
    explain = _command(
        commands,
        "explain",
        "show what a request would meet, and where each policy is written",
        _EXPLAIN,
    )
    explain.add_argument("method", metavar="METHOD", help="GET, POST, ...")
    explain.add_argument("url", metavar="URL", help="/path?query, or with http:// and a host")
    explain.add_argument("app", nargs="?", metavar="APP", help=_APP)
    explain.add_argument(
        "-H",
        "--header",
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        type=arguments.header,
        help="a header field of the request; may be repeated (default: none but Host)",
    )
    explain.add_argument(
        "--peer",
        default="127.0.0.1",
        metavar="ADDRESS",
        type=arguments.address,
        help="the address that the request comes from (default: 127.0.0.1)",
    )
    _format(explain)
    explain.add_argument(
        "--live",
        action="store_true",
        help="also ask the server that runs where the route runs now (default: off)",
    )
    dump = _command(commands, "dump", "print the configuration that holds for every route", _DUMP)
    dump.add_argument("app", nargs="?", metavar="APP", help=_APP)
    dump.add_argument(
        "--resolved",
        action="store_true",
        required=True,
        help="merged, inherited and with every reference resolved, each value with its origin",
    )
    dump.add_argument(
        "--format",
        choices=("yaml", "json"),
        default="yaml",
        help="a configuration with comments, or for programs (default: yaml)",
    )
    routes = _command(commands, "routes", "list every route, and who may use it", _ROUTES)
    routes.add_argument("app", nargs="?", metavar="APP", help=_APP)
    routes.add_argument(
        "--django",
        action="store_true",
        help="list the Django project's URLs, with the routes that cover them (default: off)",
    )


def _describing(commands: Commands[Parser]) -> None:
    diff = commands.add_parser(
        "diff",
        help="show what a new configuration changes, policies that are loosened first",
        description="Show what a new configuration changes for each route.",
        epilog=_DIFF,
    )
    diff.add_argument("old", metavar="OLD", help="a configuration file")
    diff.add_argument("new", metavar="NEW", help="the one that comes instead")
    diff.add_argument(
        "--format",
        choices=("text", "json"),
        default="text",
        help="for people or for programs (default: text)",
    )
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


def _of_django(commands: Commands[Parser]) -> None:
    for name, what, epilog, words in (
        ("migrate", "apply Django's migrations", _MIGRATE, "[APP] [LABEL [MIGRATION]]"),
        ("makemigrations", "write Django's migrations", _MAKEMIGRATIONS, "[APP] [LABEL ...]"),
        ("migrations", "show which migrations are applied", _MIGRATIONS, "[APP] [LABEL ...]"),
    ):
        command = _command(commands, name, what, epilog)
        command.usage = f"bolt {name} [--config FILE] {words} [-- OPTIONS]"
        command.add_argument("words", nargs="*", metavar=words, help="APP: " + _APP)
    user = _command(
        commands, "createuser", "make a Django user, or give one a password", _CREATEUSER
    )
    user.add_argument("username", metavar="USERNAME", type=arguments.not_empty, help="who")
    user.add_argument("app", nargs="?", metavar="APP", help=_APP)
    user.add_argument(
        "--password",
        type=arguments.not_empty,
        help="the password; others can see it in the list of processes (default: asked for, or "
        "the first line of standard input)",
    )


def _command(commands: Commands[Parser], name: str, what: str, epilog: str) -> Parser:
    command = commands.add_parser(
        name, help=what, description=what[:1].upper() + what[1:] + ".", epilog=epilog
    )
    command.add_argument(
        "--config",
        metavar="FILE",
        help="the configuration (default: ./bolt.yaml where no APP is given, else none)",
    )
    return command


def _format(command: Parser, *more: str, help: str = "for people or for programs") -> None:
    choices = ("text", "json", *more)
    command.add_argument(
        "--format", choices=choices, default="text", help=f"{help} (default: text)"
    )

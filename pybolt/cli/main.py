"""Arguments, and which command they mean. Exit codes: 0 fine, 1 wrong configuration, 2 usage."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from ..config.options import RunOptions
from ..exceptions import ConfigError
from . import django, inspect

_EPILOG = """\
examples:
  bolt run shop.api:api                    routes declared in Python
  bolt run --config bolt.yaml              routes declared in YAML
  bolt run app.py --config bolt.yaml       both: policies of the file on the app's routes
  bolt check                               every mistake of ./bolt.yaml at once
  bolt explain GET /items/7 -H 'Origin: https://app.example.com'

Without --config, ./bolt.yaml is used where it exists.
Exit codes: 0 fine, 1 the configuration is wrong, 2 usage.
"""


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    root = argparse.ArgumentParser(
        prog="bolt",
        description="Routing and middleware in Rust for Django and Python.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = root.add_subparsers(dest="command", metavar="COMMAND", required=True)
    run = _command(commands, "run", "serve an app, a configuration, or both")
    run.add_argument("--host", help="listen on this address instead of the configured ones")
    run.add_argument("--port", type=_port, help="listen on this port (0: any free one)")
    run.add_argument("--workers", type=_workers, help="how many processes; auto: one per core")
    run.add_argument("--reload", action="store_true", help="serve anew when a file changes")
    check = _command(commands, "check", "find every mistake without starting anything")
    check.add_argument("--format", choices=("text", "json"), default="text")
    check.add_argument("--strict", action="store_true", help="warnings are errors")
    explain = commands.add_parser(
        "explain", help="show what a request would meet, and where each policy is written"
    )
    explain.add_argument("method", metavar="METHOD", help="GET, POST, ...")
    explain.add_argument("url", metavar="URL", help="/path?query, or with a host")
    explain.add_argument(
        "-H", "--header", action="append", default=[], metavar="'NAME: VALUE'", type=_header
    )
    explain.add_argument("--app", help="module:attribute or path/to/file.py")
    explain.add_argument("--config", help="the configuration file")
    explain.add_argument("--format", choices=("text", "json"), default="text")
    _command(commands, "routes", "list every route, and who may use it")
    migrate = _command(commands, "migrate", "apply Django's migrations", app_option=True)
    migrate.add_argument("arguments", nargs="*", help="as for manage.py migrate")
    makemigrations = _command(
        commands, "makemigrations", "write Django's migrations", app_option=True
    )
    makemigrations.add_argument("arguments", nargs="*", help="app labels")
    _command(commands, "migrations", "show which migrations are applied", app_option=True)
    user = _command(commands, "createuser", "make a Django user", app_option=True)
    user.add_argument("username")
    user.add_argument("--password", help="asked for, or read from stdin, where it is not given")
    return root


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    what: str,
    *,
    app_option: bool = False,
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=what, description=what[:1].upper() + what[1:] + ".")
    if app_option:
        command.add_argument("--app", help="module:attribute or path/to/file.py")
    else:
        command.add_argument(
            "app", nargs="?", metavar="APP", help="module:attribute or path/to/file.py[:attribute]"
        )
    command.add_argument("--config", metavar="FILE", help="the configuration; ./bolt.yaml if there")
    return command


def _port(text: str) -> int:
    if not text.isdigit() or not 0 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: write 0 to 65535")
    return int(text)


def _workers(text: str) -> str:
    if text != "auto" and (not text.isdigit() or not 1 <= int(text) <= 256):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of workers: 1 to 256, or auto")
    return text


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is not a header: write 'Name: value'")
    return name.strip(), value.strip()


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; the exit code."""
    arguments = parser().parse_args(argv)
    config = arguments.config or ("bolt.yaml" if os.path.exists("bolt.yaml") else None)
    options = RunOptions(
        app=arguments.app,
        config=config,
        host=getattr(arguments, "host", None),
        port=getattr(arguments, "port", None),
        workers=getattr(arguments, "workers", None),
        reload=getattr(arguments, "reload", False),
    )
    if options.app is None and options.config is None and not _works_alone(arguments.command):
        print(
            "bolt: nothing to serve: name an app (`bolt run shop.api:api`) or a configuration "
            "(`bolt run --config bolt.yaml`)",
            file=sys.stderr,
        )
        return 2
    try:
        return _run(arguments, options)
    except ConfigError as error:
        print(error.text, file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 0


def _works_alone(command: str) -> bool:
    return command in ("migrate", "makemigrations", "migrations", "createuser")


def _run(arguments: argparse.Namespace, options: RunOptions) -> int:
    match arguments.command:
        case "run":
            from .. import supervisor

            return supervisor.run(options)
        case "check":
            return inspect.check(options, arguments.format, strict=arguments.strict)
        case "routes":
            return inspect.routes(options)
        case "explain":
            return inspect.explain(
                options, arguments.method, arguments.url, arguments.header, arguments.format
            )
        case "migrate":
            return django.manage(options, "migrate", arguments.arguments)
        case "makemigrations":
            return django.manage(options, "makemigrations", arguments.arguments)
        case "migrations":
            return django.manage(options, "showmigrations", [])
        case _:
            return django.create_user(options, arguments.username, arguments.password)

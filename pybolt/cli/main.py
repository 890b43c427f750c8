"""Arguments, and which command they mean. Exit codes: 0 fine, 1 wrong configuration, 2 usage.

``diff`` ends with 3 where a policy is loosened.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from ..config.options import RunOptions
from ..exceptions import ConfigError
from . import control, django, inspect
from .grammar import parser

IMPLICIT_CONFIG = "bolt.yaml"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; the exit code."""
    root = parser()
    arguments = root.parse_args(argv)
    if arguments.command is None:
        root.print_help()
        return 0
    words = list(getattr(arguments, "words", ()))
    if words and _names_app(words[0]):
        arguments.app = words.pop(0)
    options = _options(arguments)
    try:
        return _run(arguments, options, words)
    except ConfigError as error:
        print(error.text, file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 0


def _names_app(word: str) -> bool:
    """Whether a word is an APP; what Django's commands take is neither a file nor has a colon."""
    return ":" in word or word.endswith(".py") or os.sep in word


def _options(arguments: argparse.Namespace) -> RunOptions:
    app = getattr(arguments, "app", None)
    config = getattr(arguments, "config", None)
    if app is None and config is None and os.path.exists(IMPLICIT_CONFIG):
        config = IMPLICIT_CONFIG
    return RunOptions(
        app=app,
        config=config,
        host=getattr(arguments, "host", None),
        port=getattr(arguments, "port", None),
        workers=getattr(arguments, "workers", None),
        reload=getattr(arguments, "reload", False),
        watch=getattr(arguments, "watch", False),
        control=getattr(arguments, "control", None),
    )


def _run(arguments: argparse.Namespace, options: RunOptions, words: list[str]) -> int:
    match arguments.command:
        case "init":
            from . import init

            return init.init(arguments.settings, arguments.output, force=arguments.force)
        case "schema":
            from . import schema

            return schema.run(arguments.file, write=arguments.write, check=arguments.check)
        case "diff":
            from .diff import diff

            return diff(arguments.old, arguments.new, arguments.format)
        case "migrate" | "makemigrations":
            return django.manage(options, arguments.command, words)
        case "migrations":
            return django.manage(options, "showmigrations", words)
        case "createuser":
            return django.create_user(options, arguments.username, arguments.password)
        case "check" if arguments.explain is not None:
            return inspect.explain_code(arguments.explain)
    named = getattr(arguments, "pid", None) or getattr(arguments, "pidfile", None)
    if options.app is None and options.config is None and not (named or options.control):
        print(
            f"bolt {arguments.command}: no app and no {IMPLICIT_CONFIG} here: name an app "
            "(`shop.api:api`, `app.py`) or a configuration (`--config bolt.yaml`)",
            file=sys.stderr,
        )
        return 2
    match arguments.command:
        case "run":
            from .. import supervisor

            return supervisor.run(options)
        case "reload":
            return control.reload(options, named)
        case "status":
            return control.status(options, named, arguments.format)
        case "maintenance":
            switch = arguments.switch
            return control.maintenance(options, named, switch, arguments.group, arguments.route)
        case "check":
            return inspect.check(
                options, arguments.format, strict=arguments.strict, online=arguments.online
            )
        case "routes":
            return inspect.routes(options, django=arguments.django)
        case "dump":
            from .dump import dump

            return dump(options, arguments.format)
        case _:
            return inspect.explain(
                options,
                arguments.method,
                arguments.url,
                arguments.header,
                arguments.format,
                peer=arguments.peer,
                live=arguments.live,
                analyze=arguments.analyze,
            )

"""A worker process, and the preflight that runs before any socket is bound.

    python -m pybolt.worker preflight OUT_FD SNAPSHOT_FD loud|quiet option=value ...
    python -m pybolt.worker serve JOB option=value ...

Started by the supervisor; not for people.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import json
import logging
import os
import signal
import sys
import sysconfig
from pathlib import Path
from typing import Any, NoReturn

from . import snapshots
from .config import Diagnostic, LoadedConfig, RunOptions, load
from .config.diagnostics import render
from .config.sources import Sources
from .exceptions import ConfigError


def main(argv: list[str]) -> int:
    """Runs one of the two jobs; the exit code is 0, or 1 for a wrong configuration."""
    configure_logging()
    if argv[0] == "preflight":
        # Nothing is served yet: Ctrl-C ends it at once, and it ends with its supervisor.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        _die_with_parent(signal.SIGKILL)
        options = _options(argv[4:])
        return preflight(int(argv[1]), int(argv[2]), options, quiet=argv[3] == "quiet")
    try:
        return serve(json.loads(argv[1]), _options(argv[2:]))
    except ConfigError as error:
        # It was right when the supervisor looked; somebody has changed it since.
        print(error.text, file=sys.stderr, flush=True)
        return 1


def _options(argv: list[str]) -> RunOptions:
    options = RunOptions.from_argv(argv)
    if options.reload:
        # Byte code goes by a file's size and the second of its change (PEP 3147): of two saves in
        # one second the first would be served on.
        sys.dont_write_bytecode = True
    return options


def configure_logging() -> None:
    """Plain lines to stderr where the project configured nothing."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )


def say(line: str) -> None:
    """One line of progress to the terminal."""
    print(f"bolt: {line}", file=sys.stderr, flush=True)


def preflight(out: int, snapshot: int, options: RunOptions, *, quiet: bool = False) -> int:
    """Loads and checks everything, prepares an embedded database; writes a summary to ``out`` and
    what the files hold to ``snapshot``.

    ``quiet``: for a server that serves meanwhile. Nothing is prepared, what is wrong is one line.
    """
    os.set_inheritable(out, False)
    os.set_inheritable(snapshot, False)
    if quiet:
        os.nice(10)
    loaded = load(options)
    found = loaded.check()
    errors = [item for item in found if item.is_error]
    if found and not quiet:
        print(render(found), file=sys.stderr, flush=True)
    if errors:
        with os.fdopen(out, "w") as file:
            json.dump({"reason": brief(errors) if quiet else ""}, file)
        return 1
    if not quiet and not _prepare(loaded):
        return 1
    content = loaded.sources.dump()
    snapshots.write(snapshot, content)
    told = {"config": options.config, "snapshot": len(content), "warnings": len(found)}
    with os.fdopen(out, "w") as file:
        json.dump(summary(loaded) | told, file)
    return 0


def brief(errors: list[Diagnostic]) -> str:
    """The first mistake in one line, and how many more there are."""
    first = errors[0]
    where = f"{first.position} " if first.position else ""
    more = f" (and {len(errors) - 1} more: `bolt check`)" if errors[1:] else ""
    return f"{where}error[{first.code}]: {first.message}{more}"


def _prepare(loaded: LoadedConfig) -> bool:
    """Whether the database is as it must be."""
    from . import bootstrap

    if bootstrap.is_attached(loaded.settings):
        bootstrap.warn_of_unapplied_migrations(say)
    else:
        from django.core.management import CommandError
        from django.db import DatabaseError

        from .conf import keep_secret_key

        try:
            keep_secret_key(Path.cwd())
            bootstrap.prepare_database(say)
        except (DatabaseError, CommandError, OSError) as error:
            say(f"the database {_database()} cannot be prepared: {error}")
            return False
    return True


def summary(loaded: LoadedConfig) -> dict[str, Any]:
    """What the supervisor needs to know, and shows."""
    from django.conf import settings

    from . import bootstrap

    attached = bootstrap.is_attached(loaded.settings)
    return loaded.server | {
        "routes": loaded.routes,
        "app": loaded.app,
        "mode": settings.SETTINGS_MODULE if attached else "embedded",
        "database": _database() if settings.DATABASES.get("default") else "none",
        "files": project_files(),
        "config_files": sorted(loaded.sources.contents),
        "config_patterns": sorted(loaded.sources.found),
    }


def project_files() -> list[str]:
    """The files of all modules that are neither Python's own nor installed."""
    installed = tuple({sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    return sorted(file for file in files if file and not file.startswith(installed))


def _database() -> str:
    from django.db import connection

    return f"{connection.vendor} {connection.settings_dict.get('NAME', '')}".strip()


def serve(job: dict[str, Any], options: RunOptions) -> int:
    """Serves the inherited sockets until the supervisor says otherwise or is gone."""
    _die_with_parent(signal.SIGTERM)
    listeners, control, report = job["listeners"], job["control"], job["report"]
    keep_from_children([*listeners, control, report, job["limits"], *job["snapshots"]])
    # The terminal's Ctrl-C reaches the whole group; the supervisor decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from . import _engine
    from .bridge import Runtime

    loaded = load(options, Sources.parse(snapshots.read(*job["snapshot"])))
    loaded.require()
    server = loaded.server
    runtime = Runtime(threads=server["threads"], switch_interval=server["switch_interval"])
    engine = _engine.Engine(loaded.wire, loaded.callables, runtime, job["version"], job["limits"])
    # What has been loaded stays; the collector need not look at it again and again.
    gc.collect()
    gc.freeze()
    load_next = functools.partial(load_again, options)
    engine.serve(listeners, control, report, load_next, json.dumps(job["switches"]))
    return 0


def load_again(options: RunOptions, descriptor: int, length: int) -> tuple[str, list[Any]]:
    """The next plan's wire and callables, from a snapshot of its files. Raises
    :class:`ConfigError` with one line to tell."""
    loaded = load(options, Sources.parse(snapshots.read(descriptor, length)))
    errors = [item for item in loaded.diagnostics if item.is_error]
    if errors:
        raise ConfigError(brief(errors))
    return loaded.wire, loaded.callables


def leave(code: int) -> NoReturn:
    """Ends the process now. The interpreter's own end waits for every thread that an executor has,
    whatever it does."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def keep_from_children(descriptors: list[int]) -> None:
    """Has no child of a handler hold the port or the supervisor's pipes, whether it was made by
    ``exec`` or by ``fork``."""
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    ours = {descriptor: _identity(descriptor) for descriptor in descriptors}
    os.register_at_fork(after_in_child=functools.partial(_close_all, ours))


def _close_all(descriptors: dict[int, tuple[int, int] | None]) -> None:
    for descriptor, identity in descriptors.items():
        # A number that was closed meanwhile may be somebody else's by now.
        if identity is not None and _identity(descriptor) == identity:
            os.close(descriptor)


def _identity(descriptor: int) -> tuple[int, int] | None:
    try:
        found = os.fstat(descriptor)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _die_with_parent(number: signal.Signals) -> None:
    """Has the kernel send this process ``number`` when the supervisor dies without a word
    (Linux)."""
    parent_death_signal = 1
    try:
        ctypes.CDLL(None).prctl(parent_death_signal, number)
    except (OSError, AttributeError):
        # Elsewhere the closed control pipe has to do.
        return


if __name__ == "__main__":
    leave(main(sys.argv[1:]))

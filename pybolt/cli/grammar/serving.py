"""Commands that serve, and those that speak to a server: ``run``, ``reload``, ``status``,
``maintenance``."""

from __future__ import annotations

from .. import arguments
from .command import APP, Commands, Parser, add_command, output_format

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


def serving(commands: Commands[Parser]) -> None:
    """Adds ``run`` and what controls it."""
    run = add_command(commands, "run", "serve an app, a configuration, or both", _RUN)
    run.add_argument("app", nargs="?", metavar="APP", help=APP)
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
    again = add_command(commands, "reload", "have a server read its configuration again", _RELOAD)
    status = add_command(commands, "status", "tell how a server and its workers are", _STATUS)
    switch = add_command(
        commands, "maintenance", "close or open routes of a server that runs", _MAINTENANCE
    )
    switch.add_argument("switch", choices=("on", "off", "reset"), help="close, open, as configured")
    for command in (again, status, switch):
        command.add_argument("app", nargs="?", metavar="APP", help=APP)
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
    output_format(status)
    part = switch.add_mutually_exclusive_group()
    part.add_argument("--group", metavar="NAME", help="the routes of a group (default: all)")
    part.add_argument("--route", metavar="PATH", help="one path, as it is declared (default: all)")

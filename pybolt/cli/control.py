"""``reload``, ``status``, ``maintenance``, ``explain --live``: what a running server is asked."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from ..config import RunOptions
from ..control import NoControl, directory, name

#: A reload loads the project twice; longer than a supervisor waits for it nobody waits.
PATIENCE = 180.0


class NotThere(Exception):
    """There is no server to ask; the message is one line for the user."""


def reload(options: RunOptions, pid: int | None) -> int:
    """Has a server read its configuration again, and waits for the outcome."""
    try:
        reply = ask(options, pid, {"do": "reload"})
    except NotThere as error:
        if pid is None or not _is_bolt(pid):
            return _failed("reload", str(error))
        os.kill(pid, signal.SIGHUP)
        print(f"SIGHUP sent to {pid}; how it ends is in the server's own output")
        return 0
    return _tell("reload", reply)


def maintenance(
    options: RunOptions, pid: int | None, switch: str, group: str | None, route: str | None
) -> int:
    """Closes or opens routes of a server that runs."""
    request = {"do": "maintenance", "switch": switch, "group": group, "route": route}
    try:
        return _tell("maintenance", ask(options, pid, request))
    except NotThere as error:
        return _failed("maintenance", str(error))


def status(options: RunOptions, pid: int | None, form: str) -> int:
    """Tells how a server is."""
    try:
        told = ask(options, pid, {"do": "status"})
    except NotThere as error:
        return _failed("status", str(error))
    print(json.dumps(told, indent=2) if form == "json" else render_status(told))
    return 0


def render_status(told: dict[str, Any]) -> str:
    """A status as text."""
    reloads = told["reloads"]
    what, where = told["app"] or told["config"], ", ".join(told["listens"])
    lines = [
        f"bolt {told['pid']} serves {what} on {where}",
        f"  version      {told['version']} ({told['hash']})",
        f"  uptime       {told['uptime']:.0f} s",
        f"  reloads      {reloads['done']} done, {reloads['failed']} failed",
    ]
    if reloads["last_error"]:
        lines.append(f"               the last: {reloads['last_error']}")
    switches = [_switch(switch) for switch in told["maintenance"]]
    lines.append(f"  maintenance  {', '.join(switches) or 'as configured'}")
    for worker in told["workers"]:
        lines.append(f"  worker {worker['slot']}     {_worker(worker)}")
    rows = [row for row in placements(told) if row[1]]
    if rows:
        lines.append("routes that ran")
        width = max(len(label) for label, _, _ in rows)
        lines += [f"  {label:<{width}}  {runs:>8} runs  {where}" for label, runs, where in rows]
    return "\n".join(lines)


def placements(told: dict[str, Any]) -> list[tuple[str, int, str]]:
    """Every route with its runs, and where each worker runs it now."""
    found: dict[str, tuple[int, list[str]]] = {}
    for worker in told["workers"]:
        for label, route in ((worker.get("stats") or {}).get("routes") or {}).items():
            runs, where = found.setdefault(label, (0, []))
            place = "inline" if route["inline"] else route["lane"]
            where.append(f"{place} ({route['reason']})")
            found[label] = runs + route["runs"], where
    return [(label, runs, ", ".join(dict.fromkeys(w))) for label, (runs, w) in found.items()]


def _worker(worker: dict[str, Any]) -> str:
    if worker["pid"] is None:
        return "none: it is about to be started"
    if not worker["ready"]:
        return f"PID {worker['pid']}, starting"
    silent = "" if worker["answers"] else ", does not answer"
    return f"PID {worker['pid']}, version {worker['version']}, {worker['uptime']:.0f} s{silent}"


def _switch(switch: dict[str, Any]) -> str:
    of = switch["route"] or (f"group {switch['group']}" if switch["group"] else "every route")
    return f"{of} {'closed' if switch['on'] else 'open'}"


def ask(options: RunOptions, pid: int | None, request: dict[str, Any]) -> dict[str, Any]:
    """The reply of the one server that ``options`` and ``pid`` mean. Raises :class:`NotThere`."""
    connections = _servers(options, pid)
    try:
        if not connections:
            whose = f"with PID {pid}" if pid else f"of {options.app or options.config}"
            raise NotThere(f"no server {whose} listens on a control socket of yours")
        if len(connections) > 1:
            pids = ", ".join(re.findall(r"-(\d+)\.sock", " ".join(map(str, connections))))
            raise NotThere(f"several servers do: name one with --pid: {pids}")
        [connection] = connections.values()
        return _exchange(connection, request)
    finally:
        for connection in connections.values():
            connection.close()


def _exchange(connection: socket.socket, request: dict[str, Any]) -> dict[str, Any]:
    connection.settimeout(PATIENCE)
    reply = b""
    try:
        connection.sendall(json.dumps(request).encode() + b"\n")
        while chunk := connection.recv(1 << 16):
            reply += chunk
    except OSError as error:
        raise NotThere(f"the server did not answer: {error}") from None
    if not reply.endswith(b"\n"):
        raise NotThere("the server has gone without an answer")
    told: dict[str, Any] = json.loads(reply)
    return told


def _servers(options: RunOptions, pid: int | None) -> dict[Path, socket.socket]:
    """A connection to every server that is meant and listens."""
    if options.control is not None:
        paths = [Path(options.control)]
    else:
        try:
            place = directory()
        except NoControl as error:
            raise NotThere(str(error)) from None
        paths = sorted(place.glob(f"*-{pid}.sock" if pid else f"{name(options)}-*.sock"))
    found = {}
    for path in paths:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(os.fspath(path))
        except OSError:
            connection.close()
            continue
        found[path] = connection
    return found


def _is_bolt(pid: int) -> bool:
    """Whether a process is a server of ours: SIGHUP would end most others."""
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return b"run" in words and any(word.endswith((b"bolt", b"pybolt")) for word in words)
    return False


def _tell(command: str, reply: dict[str, Any]) -> int:
    if not reply["ok"]:
        return _failed(command, reply["error"])
    print(reply["said"])
    return 0


def _failed(command: str, reason: str) -> int:
    print(f"bolt {command}: {reason}", file=sys.stderr)
    return 1

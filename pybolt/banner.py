"""What the terminal says once a server serves."""

from __future__ import annotations

import os
import socket
from typing import Any


def banner(summary: dict[str, Any], listeners: list[socket.socket], workers: int) -> str:
    """What is served, where, by how many, and what everybody may use."""
    routes = summary["routes"]
    return "\n".join(
        [
            f"bolt serves {summary['app'] or summary['config']}",
            f"  on        {', '.join(urls(listeners))}",
            f"  config    {_config(summary)}",
            f"  version   {summary['version']} ({summary['hash']})",
            f"  workers   {workers} (supervisor {os.getpid()})",
            f"  django    {summary['mode']}",
            f"  database  {summary['database']}",
            f"  routes    {len(routes)}",
            f"  public    {_public(summary)}",
            f"  log       {_log(routes)}",
            "  Ctrl-C to stop",
        ]
    )


def urls(listeners: list[socket.socket]) -> list[str]:
    """Where it is served."""
    names = (listener.getsockname() for listener in listeners)
    return [f"http://{f'[{n[0]}]' if ':' in n[0] else n[0]}:{n[1]}" for n in names]


def _config(summary: dict[str, Any]) -> str:
    if summary["config"] is not None:
        return str(summary["config"])
    if os.path.exists("bolt.yaml"):
        return "none; ./bolt.yaml is read with `--config bolt.yaml`"
    return "none"


def _public(summary: dict[str, Any]) -> str:
    routes = [route for route in summary["routes"] if route["public"]]
    if not summary["has_auth"]:
        return "all of them: no auth is declared anywhere"
    shown = [f"{','.join(route['methods'])} {route['path']}" for route in routes]
    more = [f"and {len(shown) - 20} more: bolt routes"] if len(shown) > 20 else []
    return "\n            ".join(shown[:20] + more) or "none"


def _log(routes: list[dict[str, Any]]) -> str:
    logged = sum(1 for route in routes if route["logged"])
    if logged:
        return "every request" if logged == len(routes) else f"requests of {logged} routes"
    return "no requests; `access_log: on` logs them"

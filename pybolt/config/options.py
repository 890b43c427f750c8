"""What the command line says; handed from the supervisor to its workers as arguments."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Which app and file, and what overrides the file.

    ``app``: ``module:attribute`` or ``path/to/file.py[:attribute]``; ``config``: a path;
    ``control``: the path of the control socket, or ``off``.
    """

    app: str | None = None
    config: str | None = None
    host: str | None = None
    port: int | None = None
    workers: str | None = None
    reload: bool = False
    watch: bool = False
    control: str | None = None

    def to_argv(self) -> list[str]:
        """Arguments that :meth:`from_argv` understands."""
        argv: list[str] = []
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is not None and value is not False:
                argv.append(f"{field.name}={value}")
        return argv

    @classmethod
    def from_argv(cls, argv: Sequence[str]) -> RunOptions:
        """The options of :meth:`to_argv`."""
        given: dict[str, str] = dict(item.split("=", 1) for item in argv)
        return cls(
            app=given.get("app"),
            config=given.get("config"),
            host=given.get("host"),
            port=int(given["port"]) if "port" in given else None,
            workers=given.get("workers"),
            reload="reload" in given,
            watch="watch" in given,
            control=given.get("control"),
        )

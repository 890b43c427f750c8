"""Where a PostgreSQL is and who asks it, as libpq finds out: what is given, then the service file,
then the environment, then defaults; the password last from the password file.

https://www.postgresql.org/docs/current/libpq-connect.html
"""

from __future__ import annotations

import os
import pwd
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

#: The environment's names of what may be given.
ENVIRONMENT = {
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "port": "PGPORT",
    "dbname": "PGDATABASE",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "passfile": "PGPASSFILE",
    "options": "PGOPTIONS",
    "application_name": "PGAPPNAME",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslcrl": "PGSSLCRL",
    "sslcrldir": "PGSSLCRLDIR",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "channel_binding": "PGCHANNELBINDING",
    "require_auth": "PGREQUIREAUTH",
    "requirepeer": "PGREQUIREPEER",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "load_balance_hosts": "PGLOADBALANCEHOSTS",
}
#: Where libpq looks for a socket, as it is usually built.
SOCKETS = ("/var/run/postgresql", "/tmp")
_SYSTEM = ("/etc/postgresql-common", "/etc")
_OPTION = re.compile(r"--?([\w.-]+)=(.*)", re.DOTALL)


class NotFound(Exception):
    """A service that no file has, or an option that is none; the message says which."""


def resolved(given: Mapping[str, str]) -> dict[str, str]:
    """All that is known of a connection. ``given``: what its settings say.

    Raises :class:`NotFound` for a service that is nowhere described.
    """
    found = dict(given)
    service = found.pop("service", None) or os.environ.get("PGSERVICE")
    if service:
        found = _service(service) | found
    for name, variable in ENVIRONMENT.items():
        if os.environ.get(variable):
            found.setdefault(name, os.environ[variable])
    found.setdefault("port", "5432")
    found.setdefault("host", _socket(found["port"]))
    found.setdefault("user", pwd.getpwuid(os.geteuid()).pw_name)
    found.setdefault("dbname", found["user"])
    _find_certificates(found)
    return found


def _socket(port: str) -> str:
    there = (place for place in SOCKETS if Path(place, f".s.PGSQL.{port}").exists())
    return next(there, SOCKETS[0])


def _find_certificates(found: dict[str, str]) -> None:
    names = {"sslrootcert": "root.crt", "sslcert": "postgresql.crt", "sslkey": "postgresql.key"}
    for key, name in names.items():
        path = Path("~/.postgresql").expanduser() / name
        if path.is_file():
            found.setdefault(key, str(path))


def _service(name: str) -> dict[str, str]:
    own = Path(os.environ.get("PGSERVICEFILE") or "~/.pg_service.conf").expanduser()
    system = [os.environ["PGSYSCONFDIR"]] if os.environ.get("PGSYSCONFDIR") else _SYSTEM
    for path in (own, *(Path(place) / "pg_service.conf" for place in system)):
        found = _section(path, name) if path.is_file() else None
        if found is not None:
            return found
    raise NotFound(f"no file describes the service `{name}`")


def _section(path: Path, name: str) -> dict[str, str] | None:
    """The first section of that name."""
    found: dict[str, str] | None = None
    for line in map(str.strip, path.read_text(encoding="utf-8").splitlines()):
        if line.startswith("["):
            if found is not None:
                break
            found = {} if line == f"[{name}]" else None
        elif found is not None and line and not line.startswith("#"):
            key, equals, value = line.partition("=")
            if not equals or line.startswith("ldap"):
                raise NotFound(f"the service `{name}` is described in a way of its own")
            found.setdefault(key.strip(), value.strip())
    return found


def password(host: str, port: str, dbname: str, user: str, passfile: str | None) -> str | None:
    """What the password file says, which nobody else may read."""
    path = Path(passfile or "~/.pgpass").expanduser()
    try:
        told = path.stat()
        if not stat.S_ISREG(told.st_mode) or told.st_mode & 0o077:
            return None
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    wanted = ("localhost" if host in ("", *SOCKETS) else host, port, dbname, user)
    for line in lines:
        fields = [] if line.startswith("#") else list(_fields(line))
        if len(fields) >= 5 and all(
            field in ("*", value) for field, value in zip(fields, wanted, strict=False)
        ):
            return fields[4]
    return None


def _fields(line: str) -> Iterator[str]:
    for number, found in enumerate(re.finditer(r"((?:\\.|[^:\\])*)(?::|$)", line)):
        if number < 5:
            yield re.sub(r"\\(.)", r"\1", found[1])


def session(options: str) -> dict[str, str]:
    """The session's parameters that ``options`` of a connection set: ``-c search_path=shop``.

    Raises :class:`NotFound` for what sets none.
    """
    words = [re.sub(r"\\(.)", r"\1", word) for word in re.findall(r"(?:\\.|[^\s\\])+", options)]
    found = {}
    while words:
        word = words.pop(0)
        if word == "-c" and words:
            word = "--" + words.pop(0)
        elif word.startswith("-c"):
            word = "--" + word[2:]
        option = _OPTION.fullmatch(word)
        if option is None or not word.startswith("--"):
            raise NotFound(f"`{word}` of the connection's options sets no parameter")
        # Names of settings are the same in capital letters.
        found[option[1].replace("-", "_").lower()] = option[2]
    return found

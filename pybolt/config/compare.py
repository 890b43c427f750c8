"""What changes between two resolved configurations, and whether it lets more through.

Rules, per slot of a route; everything else that changes is told, and is neither:

* auth: less is asked (``public``, ``optional``, one more method) or other credentials are taken;
  ``django``, whose own views decide, asks less than a method and more than ``public``.
* ``allow``: removed, or another expression: nobody can tell which of two is the narrower.
* ``rate_limit``: removed, a higher rate or burst, or counted by something else.
* ``cors``: an origin, a method, a header or credentials that were not.
* ``in_flight``: removed, a higher limit, or counted by something else.
* ``ip``: a network that was not allowed, or one that is no longer denied.
* ``csrf``, ``security_headers``, ``body_limit``: off, or more than before.
* ``maintenance``: a route that was closed is open, or more addresses are let in.
* ``server``: a host that was not, an address beyond this machine, or other trusted proxies: the
  clients of one that is trusted no more have its address, which rules may let in.
* What answers: files or a handler where neither was, another directory, links or dotfiles.
* A change of a slot or a server's setting that is not known to be harmless, and that no rule calls
  tightened, counts as loosened.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from collections.abc import Callable
from typing import Any, Literal

Kind = Literal["loosened", "tightened", "changed"]
Verdict = tuple[Kind, str]

#: Slots that decide how, not who: a change of one is told, no more.
HARMLESS = frozenset({"request_id", "access_log", "compress", "python", "timeout"})
#: The same of the server.
HARMLESS_IN_SERVER = frozenset({"workers", "drain_timeout", "python"})

_QUANTITY = re.compile("[0-9]+[A-Za-z]+")

_UNITS = {
    "ms": 1,
    "s": 1_000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "y": 31_536_000_000,
    "B": 1,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "KB": 1_000,
    "MB": 1_000_000,
    "GB": 1_000_000_000,
}


@dataclasses.dataclass(frozen=True)
class Change:
    """One thing that is otherwise: of a route (``GET /path``) or of the ``server``."""

    kind: Kind
    where: str
    slot: str
    message: str
    place: str | None = None


def number(text: Any) -> float | None:
    """A span in milliseconds, a size in bytes, a rate in requests a millisecond, or a count."""
    if isinstance(text, int) and not isinstance(text, bool):
        return float(text)
    if not isinstance(text, str):
        return None
    if "/" in text:
        count, period = text.split("/", 1)
        length = number(period)
        return float(count) / length if length and count.isdigit() else None
    found = re.fullmatch(r"([0-9]+)([A-Za-z]*)", text)
    if found is None or (found[2] and found[2] not in _UNITS):
        return None
    return float(found[1]) * (_UNITS[found[2]] if found[2] else 1)


def same(one: Any, other: Any) -> bool:
    """Whether two values mean the same, however their quantities are written."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if one == other and type(one) is type(other):
        return True
    # A text of digits alone is a name like any other: `07` is not `7`.
    if not all(isinstance(value, str) and _QUANTITY.fullmatch(value) for value in (one, other)):
        return False
    first, second = number(one), number(other)
    return first is not None and first == second


def shown(value: Any) -> str:
    """A value in a message."""
    if value is None or value is False:
        return "off"
    if value is True:
        return "on"
    if isinstance(value, list):
        return ", ".join(map(shown, value)) or "none"
    return f"`{value}`" if isinstance(value, str) else str(value)


def slot(key: str, old: Any, new: Any) -> list[Verdict]:
    """What a change of a slot's value means; ``None`` or ``False`` where it is off."""
    old, new = (None if value is False else value for value in (old, new))
    if same(old, new):
        return []
    if key == "timeout" and (isinstance(old, dict) or isinstance(new, dict)):
        old, new = map(_in_parts, (old, new))
    if key in HARMLESS:
        return [("changed", _told(old, new))] if not same(old, new) else []
    rule = _RULES.get(key)
    return rule(old, new) if rule else [("loosened", _told(old, new))]


def server(key: str, old: Any, new: Any) -> list[Verdict]:
    """What a change of a server's setting means."""
    if same(old, new):
        return []
    if key in HARMLESS_IN_SERVER:
        return [("changed", _told(old, new))]
    match key:
        case "hosts":
            if not new:
                return [("loosened", "every host is ours now")]
            return _set(old, new, "host") if old else [("tightened", f"only {shown(new)}")]
        case "trusted_proxies":
            return [
                ("loosened", told) for _, told in _networks(old or [], new or [], "a trusted proxy")
            ]
        case "listen":
            beyond = [address for address in new or [] if not _is_local(address)]
            wider = [address for address in beyond if address not in (old or [])]
            return [("loosened" if wider else "changed", _told(old, new))]
        case "https_redirect":
            return [("tightened" if new else "loosened", _told(old, new))]
        case "paths" if {**(old or {}), **(new or {})}.keys() <= {"trailing_slash"}:
            return [("changed", _told(old, new))]
    return [("loosened", _told(old, new))]


def _in_parts(timeout: Any) -> Any:
    """A duration by itself bounds the first byte; what is ``off`` is left out."""
    parts = {"first_byte": timeout} if isinstance(timeout, str) else timeout
    return parts and {key: span for key, span in parts.items() if span not in (False, "off")}


def _told(old: Any, new: Any) -> str:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [key for key in {**old, **new} if not same(old.get(key), new.get(key))]
        parts = (f"{key}: {shown(old.get(key))} → {shown(new.get(key))}" for key in keys)
        return "; ".join(parts)
    return f"{_kept(old)} → {_kept(new)}"


def _kept(value: Any) -> str:
    return "on" if isinstance(value, dict) else shown(value)


def _set(old: Any, new: Any, what: str) -> list[Verdict]:
    """More members of a list let more through."""
    old, new = old or [], new or []
    added = [item for item in new if item not in old]
    removed = [item for item in old if item not in new]
    found: list[Verdict] = [("loosened", f"{what} added: {shown(item)}") for item in added]
    found += [("tightened", f"{what} removed: {shown(item)}") for item in removed]
    return found or [("changed", f"{what}s in another order")]


def _more(old: Any, new: Any, what: str) -> list[Verdict]:
    """A higher number lets more through; none is the highest."""
    first, second = number(old), number(new)
    higher = second is None or (first is not None and second > first)
    return [("loosened" if higher else "tightened", f"{what} {shown(old)} → {shown(new)}")]


def _block(
    rules: dict[str, Callable[[Any, Any], list[Verdict]]], *, present: Kind
) -> Callable[[Any, Any], list[Verdict]]:
    """A block, key by key; ``present`` is what it means that it is there at all."""

    def compare(old: Any, new: Any) -> list[Verdict]:
        absent: Kind = "tightened" if present == "loosened" else "loosened"
        if not isinstance(old, dict) or not isinstance(new, dict):
            return [(present if old is None else absent, f"{_kept(old)} → {_kept(new)}")]
        found: list[Verdict] = []
        for key in {**old, **new}:
            before, after = old.get(key), new.get(key)
            if not same(before, after):
                rule = rules.get(key)
                told = f"{key}: {shown(before)} → {shown(after)}"
                found += rule(before, after) if rule else [("loosened", told)]
        return found

    return compare


def _flag(what: str, *, on: Kind) -> Callable[[Any, Any], list[Verdict]]:
    off: Kind = "tightened" if on == "loosened" else "loosened"
    return lambda old, new: [(on if new else off, f"{what} {shown(old)} → {shown(new)}")]


def _neutral(what: str) -> Callable[[Any, Any], list[Verdict]]:
    return lambda old, new: [("changed", f"{what} {shown(old)} → {shown(new)}")]


def _members(what: str) -> Callable[[Any, Any], list[Verdict]]:
    return lambda old, new: _set(old, new, what)


def _required(what: str) -> Callable[[Any, Any], list[Verdict]]:
    """A list of which a credential must name one; without it, none is asked for."""

    def compare(old: Any, new: Any) -> list[Verdict]:
        if new is None:
            return [("loosened", f"{what} is no longer checked")]
        if old is None:
            return [("tightened", f"{what} must be {shown(new)}")]
        first, second = (value if isinstance(value, list) else [value] for value in (old, new))
        return _set(first, second, what)

    return compare


def _networks(old: list[Any], new: list[Any], what: str) -> list[Verdict]:
    def within(network: str, others: list[Any]) -> bool:
        inner = ipaddress.ip_network(network, strict=False)
        outer = (ipaddress.ip_network(other, strict=False) for other in others)
        return any(inner.version == net.version and inner.subnet_of(net) for net in outer)  # type: ignore[arg-type]

    found: list[Verdict] = [("loosened", f"{what} added: {n}") for n in new if not within(n, old)]
    found += [("tightened", f"{what} removed: {n}") for n in old if not within(n, new)]
    return found or [("changed", f"{what}: the same networks, written otherwise")]


def _allowed(old: Any, new: Any) -> list[Verdict]:
    if new is None:
        return [("loosened", "every address is allowed")]
    if old is None:
        return [("tightened", f"only {shown(new)}")]
    return _networks(old, new, "an allowed network")


def _denied(old: Any, new: Any) -> list[Verdict]:
    turned: dict[Kind, Kind] = {"loosened": "tightened", "tightened": "loosened"}
    found = _networks(old or [], new or [], "a denied network")
    return [(turned.get(kind, kind), told) for kind, told in found]


def _maintenance(old: Any, new: Any) -> list[Verdict]:
    """Closed or open comes first; who is let in matters only while it is closed."""
    was, is_ = (_closed(value) for value in (old, new))
    if was != is_:
        told = "closed" if is_ else "open again"
        return [("tightened" if is_ else "loosened", told)]
    before, after = ((value or {}).get("allow") or [] for value in (_mapping(old), _mapping(new)))
    if was and not same(before, after):
        return _networks(before, after, "a network that is let in")
    return [("changed", _told(old, new))]


def _closed(value: Any) -> bool:
    return bool(value) and _mapping(value).get("enabled", True) not in (False, "off", "false")


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


#: What answers with what somebody has written elsewhere, and not with what stands here.
_REACHING = ("handler", "query", "files")
#: Keys of ``files`` that decide how a file is sent, not which.
_HOW_FILES_ARE_SENT = ("precompressed", "cache", "immutable", "types", "memory")
_FILES = _block(
    {
        **{key: _neutral(key) for key in _HOW_FILES_ARE_SENT},
        "dotfiles": _flag("dotfiles", on="loosened"),
        "symlinks": _flag("symlinks", on="loosened"),
    },
    present="loosened",
)


def target(before: tuple[str, Any], after: tuple[str, Any]) -> list[Verdict]:
    """What another answer means; of two handlers the configuration knows no more than the names."""
    (old_key, old), (new_key, new) = before, after
    if old_key == new_key and same(old, new):
        return []
    if old_key != new_key:
        reaches = new_key in _REACHING
        return [("loosened" if reaches else "changed", f"answered by `{new_key}`, not `{old_key}`")]
    if new_key == "files":
        return _FILES(old, new)
    return [("changed", "answers otherwise")]


def _is_local(address: str) -> bool:
    host = address.rsplit(":", 1)[0].strip("[]")
    return host == "localhost" or host.startswith("127.") or host == "::1"


_CREDENTIALS = ("secret", "public_key", "jwk", "jwks", "keys", "htpasswd", "users")


def _other_credentials(key: str) -> Callable[[Any, Any], list[Verdict]]:
    return lambda old, new: [("loosened", f"{key}: other credentials are taken")]


_METHOD = _block(
    {
        **{key: _other_credentials(key) for key in _CREDENTIALS},
        "algorithms": _members("algorithm"),
        "issuer": _required("issuer"),
        "audience": _required("audience"),
        "leeway": lambda old, new: _more(old, new, "leeway"),
        "optional": _flag("optional", on="loosened"),
        "realm": _neutral("realm"),
        "cache": _neutral("cache"),
    },
    present="tightened",
)


def _methods(value: Any) -> list[Any]:
    return value["any"] if isinstance(value, dict) and "any" in value else [value]


def asks_nobody(value: Any) -> bool:
    """Whether a request without credentials passes."""
    return value == "public" or _is_optional(value)


def _is_optional(value: Any) -> bool:
    return isinstance(value, dict) and (
        bool(value.get("optional"))
        or ("optional" not in value and any(map(_is_optional, value.get("any", ()))))
    )


def auth(old: Any, new: Any) -> list[Verdict]:
    """What a change of who may ask means."""
    if new == "deny":
        return [("tightened", "denied to everybody now")]
    if new == "public":
        return [("loosened", f"public now; was {_asked(old)}")]
    if old == "deny":
        return [("loosened", f"was denied; {_asks(new)} now")]
    if old == "public":
        return [("tightened", f"was public; {_asks(new)} now")]
    if new == "django":
        return [("loosened", f"Django alone decides now; was {_asked(old)}")]
    if old == "django":
        return [("tightened", f"Django alone decided; asks for {_asked(new)} now")]
    first, second = _methods(old), _methods(new)
    added = [method for method in second if not any(same(method, known) for known in first)]
    removed = [method for method in first if not any(same(method, known) for known in second)]
    found: list[Verdict] = []
    if len(added) == len(removed) == 1 and added[0].get("type") == removed[0].get("type"):
        found += _METHOD(removed[0], added[0])
    else:
        found += [("loosened", f"another method is taken: {_asked(method)}") for method in added]
        kept = [method for method in removed if second]
        found += [("tightened", f"a method is taken no more: {_asked(method)}") for method in kept]
    if _is_optional(old) != _is_optional(new) and not any("optional" in told for _, told in found):
        found += _flag("optional", on="loosened")(_is_optional(old), _is_optional(new))
    return found or [("changed", "the methods are asked in another order")]


def _asked(value: Any) -> str:
    if not isinstance(value, dict):
        return shown(value)
    return " or ".join(str(method.get("type", "?")) for method in _methods(value))


def _asks(value: Any) -> str:
    return "Django alone decides" if value == "django" else f"asks for {_asked(value)}"


def _allow(old: Any, new: Any) -> list[Verdict]:
    if old is None:
        return [("tightened", f"must have {shown(new)}")]
    return [("loosened", _told(old, new))]


def _rate(old: Any, new: Any) -> list[Verdict]:
    """Both what comes in the long run and the count, which is the burst where none is given."""
    counts = [int(value.split("/")[0]) if isinstance(value, str) else 0 for value in (old, new)]
    if counts[1] > counts[0]:
        return [("loosened", f"rate {shown(old)} → {shown(new)}")]
    return _more(old, new, "rate")


def _burst(old: Any, new: Any) -> list[Verdict]:
    if old is None or new is None:
        return [("loosened", f"burst {shown(old)} → {shown(new)}")]
    return _more(old, new, "burst")


def _policy(what: str) -> Callable[[Any, Any], list[Verdict]]:
    """A field that was not there makes browsers careful; of two nobody can tell."""
    return lambda old, new: [
        ("loosened" if old else "tightened", f"{what}: {shown(old)} → {shown(new)}")
    ]


def _hsts(old: Any, new: Any) -> list[Verdict]:
    longer = (number(new) or 0) > (number(old) or 0)
    return [("tightened" if longer else "loosened", f"hsts {shown(old)} → {shown(new)}")]


limit = _block(
    {
        "rate": _rate,
        "burst": _burst,
        "shadow": _flag("shadow", on="loosened"),
        "store": lambda old, new: [("loosened", "counted elsewhere, from nothing")],
        "store_prefix": lambda old, new: [("loosened", "counted under other keys, from nothing")],
        "store_timeout": _neutral("store_timeout"),
        "on_store_error": lambda old, new: [
            (
                "loosened" if new == "allow" else "tightened",
                f"on_store_error {shown(old)} → {shown(new)}",
            )
        ],
    },
    present="tightened",
)

_RULES: dict[str, Callable[[Any, Any], list[Verdict]]] = {
    "auth": auth,
    "allow": _allow,
    "body_limit": lambda old, new: _more(old, new, "at most"),
    "cors": _block(
        {
            "origins": _members("origin"),
            "credentials": _flag("credentials", on="loosened"),
            "allow_methods": _members("method"),
            "allow_headers": _members("header"),
            "expose_headers": _members("readable header"),
            "max_age": _neutral("max_age"),
        },
        present="loosened",
    ),
    "ip": _block({"allow": _allowed, "deny": _denied}, present="tightened"),
    "in_flight": _block(
        {"limit": lambda old, new: _more(old, new, "at once")}, present="tightened"
    ),
    "maintenance": _maintenance,
    "csrf": _block({"trusted_origins": _members("trusted origin")}, present="tightened"),
    "security_headers": _block(
        {
            "hsts_subdomains": _flag("hsts_subdomains", on="tightened"),
            "nosniff": _flag("nosniff", on="tightened"),
            "hsts": _hsts,
            **{
                key: _policy(key)
                for key in (
                    "frame",
                    "csp",
                    "permissions_policy",
                    "cross_origin_embedder_policy",
                    "cross_origin_resource_policy",
                )
            },
        },
        present="tightened",
    ),
}

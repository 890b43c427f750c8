"""Middleware as data: frozen declarations whose ``repr`` is valid source.

Each one is the Python spelling of the block of the same name in ``bolt.yaml``: the same keys, the
same units (``"15s"``, ``"2MiB"``, ``"100/1m"``). Nothing is validated here; the engine does that
for both spellings at startup, with the place of the declaration.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

_REFERENCE = "${"
#: A store that is no URL.
_LOCAL = "local"


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Declaration:
    """What all declarations share: turning into the configuration block, and ``repr``."""

    _secret: ClassVar[frozenset[str]] = frozenset()
    _fixed: ClassVar[Mapping[str, str]] = {}

    def to_config(self) -> dict[str, Any]:
        """The block as ``bolt.yaml`` has it; what was not given is left out."""
        given = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return dict(self._fixed) | {
            name: _plain(value) for name, value in given.items() if value is not None
        }

    def __repr__(self) -> str:
        parts = []
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is None:
                continue
            shown = str(value).startswith(_REFERENCE) or str(value) == _LOCAL
            hidden = field.name in self._secret and not shown
            parts.append(f"{field.name}={'***' if hidden else value!r}")
        return f"{type(self).__name__}({', '.join(parts)})"


def _plain(value: Any) -> Any:
    if isinstance(value, Declaration):
        return value.to_config()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(_plain(item) for item in value)
    return value


@dataclasses.dataclass(frozen=True)
class Health:
    """What a route tells of its worker: ``"live"`` or ``"ready"``; :meth:`BoltAPI.health`."""

    kind: str


@dataclasses.dataclass(frozen=True)
class Django:
    """Leaves a route to the attached Django project; :meth:`BoltAPI.django`."""


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Respond(Declaration):
    """An answer that Rust gives and that never changes; see :meth:`BoltAPI.respond`."""

    status: int | None = None
    body: str | None = None
    content_type: str | None = None
    headers: Mapping[str, str] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class RedirectTo(Declaration):
    """Where Rust sends a route's clients; see :meth:`BoltAPI.redirect`."""

    to: str
    status: int | None = None
    keep_query: bool | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Files(Declaration):
    """A directory whose files Rust sends; see :meth:`BoltAPI.files`."""

    root: str
    precompressed: Sequence[str] | None = None
    index: str | None = None
    fallback: str | None = None
    cache: str | bool | None = None
    immutable: bool | None = None
    dotfiles: bool | None = None
    symlinks: str | None = None
    types: Mapping[str, str] | None = None
    memory: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class CORS(Declaration):
    """Cross-origin resource sharing (the Fetch standard).

    ``origins``: exact origins, ``{"suffix": "https://*.example.com"}``, or ``"*"``;
    ``max_age``: a duration of at most 24 h.
    """

    origins: Sequence[str | Mapping[str, str]]
    credentials: bool | None = None
    allow_methods: Sequence[str] | None = None
    allow_headers: Sequence[str] | None = None
    expose_headers: Sequence[str] | None = None
    max_age: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class JWTAuth(Declaration):
    """Bearer tokens (RFC 7519, RFC 6750).

    One of ``secret``, ``public_key`` (PEM), ``jwk``, or ``jwks`` (a set of public keys, RFC 7517):
    ``{"file": "jwks.json"}``, from where the api's module is, read at startup, or ``{"url":
    "https://…", "refresh": "5m", "cooldown": "30s", "on_error": "stale"}``, fetched in the
    background.
    ``exp`` is always required; ``iss`` and ``aud`` where ``issuer`` and ``audience`` are given.
    ``optional=True``: a request without a token passes and has no principal; a bad token is 401
    all the same.
    """

    _secret: ClassVar[frozenset[str]] = frozenset({"secret"})
    _fixed: ClassVar[Mapping[str, str]] = {"type": "jwt"}

    algorithms: Sequence[str]
    secret: str | None = None
    public_key: str | None = None
    jwk: Mapping[str, Any] | str | None = None
    jwks: Mapping[str, Any] | None = None
    issuer: str | Sequence[str] | None = None
    audience: str | Sequence[str] | None = None
    leeway: str | None = None
    header: str | None = None
    cookie: str | None = None
    query: str | None = None
    optional: bool | None = None
    roles_claim: str | None = None
    scope_claim: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class APIKeyAuth(Declaration):
    """API keys. ``keys``: lines of ``id:sha256:<hex>[:role,…]``, best from ``${file:…}``.

    ``optional=True``: a request without a key passes and has no principal.
    """

    _secret: ClassVar[frozenset[str]] = frozenset({"keys"})
    _fixed: ClassVar[Mapping[str, str]] = {"type": "api_key"}

    keys: str
    header: str | None = None
    optional: bool | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class BasicAuth(Declaration):
    """HTTP Basic (RFC 7617). One of ``htpasswd``, ``users``: lines of ``name:hash[:role,…]``.

    The hash is bcrypt's as ``htpasswd -B`` writes it (at most 71 bytes of password), or
    ``{SHA256}`` and 64 hexadecimal digits, for long random passwords only. ``cache``: how long
    credentials that were right are remembered, ``"5m"`` unless told, at most ``"1h"``.
    ``optional=True``: a request without credentials passes and has no principal.
    """

    _secret: ClassVar[frozenset[str]] = frozenset({"htpasswd", "users"})
    _fixed: ClassVar[Mapping[str, str]] = {"type": "basic"}

    htpasswd: str | None = None
    users: Sequence[str] | None = None
    realm: str | None = None
    cache: str | None = None
    optional: bool | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class AnyAuth(Declaration):
    """Several methods: ``AnyAuth(any=["jwt", APIKeyAuth(...)])``, or the list alone as ``auth``.

    The first whose credentials are there decides; what it refuses is 401, whatever else the request
    carries. ``jwt`` methods that read one place are told apart by the token's ``iss``.
    ``optional=True``: a request without any credentials passes and has no principal; left out, it
    does where every method says so.
    """

    any: Sequence[str | JWTAuth | APIKeyAuth | BasicAuth]
    optional: bool | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Maintenance(Declaration):
    """Closes routes, but for clients of ``allow``, with 503 and ``Retry-After``.

    ``enabled``: on unless said otherwise; ``retry_after``: a duration of whole seconds, ``"1m"``
    unless said otherwise; ``body`` and ``content_type``: what the answer says instead of a problem.
    """

    enabled: bool | str | None = None
    allow: Sequence[str] | None = None
    retry_after: str | None = None
    body: str | None = None
    content_type: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class IPRules(Declaration):
    """Which clients may come, by networks (``10.0.0.0/8``); ``deny`` goes before ``allow``."""

    allow: Sequence[str] | None = None
    deny: Sequence[str] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class CSRF(Declaration):
    """No other site makes a browser write here, by ``Sec-Fetch-Site`` and ``Origin``.

    ``trusted_origins``: other origins that may, as ``CORS`` takes them.
    """

    trusted_origins: Sequence[str | Mapping[str, str]] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class ResponseHeaders(Declaration):
    """Header fields that every answer carries (``set``) or does not (``remove``)."""

    set: Mapping[str, str] | None = None
    remove: Sequence[str] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class RequestHeaders(Declaration):
    """Header fields that a handler sees (``set``) or does not (``remove``), whatever was sent.

    ``principal``: the field that names who asks; absent where nobody was authenticated.
    """

    set: Mapping[str, str] | None = None
    remove: Sequence[str] | None = None
    principal: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Rewrite(Declaration):
    """The path that a handler sees; routes, policies and the log go by the one that was asked for.

    One of ``strip_prefix`` (``"/shop"``, then ``request.script_name``, which Django's ``reverse``
    puts before every path) and ``to`` (``"/v2/{*rest}"``, with what the path captures).
    """

    strip_prefix: str | None = None
    to: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class RateLimit(Declaration):
    """A rate limit (GCRA): ``RateLimit("100/1m", burst=50, key="client_ip")``.

    ``key``: ``client_ip`` (IPv6 by ``ipv6_prefix`` bits, 64 unless told), ``header:NAME``,
    ``claim:NAME``, ``api_key``, ``route`` or a list. ``cost``: as how many requests one counts;
    ``allow``: who is not counted, networks and ``api_key:ID``s; ``shadow=True``: counts and tells
    in the access log, refuses nothing. ``store="redis://host:6379/0"``: counted by all machines
    that name it, each request waiting ``store_timeout`` at most (``"50ms"``); while it does not
    answer ``on_store_error`` says ``"deny"`` (503) or ``"allow"`` (this machine counts alone).
    Without ``rate``: the definition of the same name, with another ``cost``, ``shadow`` or
    ``allow``.
    """

    _secret: ClassVar[frozenset[str]] = frozenset({"store"})

    rate: str | None = dataclasses.field(default=None, kw_only=False)
    burst: int | None = None
    key: str | Sequence[str] | None = None
    ipv6_prefix: int | None = None
    cost: int | None = None
    shadow: bool | None = None
    allow: Sequence[str] | None = None
    store: str | None = None
    on_store_error: str | None = None
    store_timeout: str | None = None
    store_prefix: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class InFlight(Declaration):
    """How many requests of one key may be under way at once, in each worker.

    ``key``: as :class:`RateLimit` has it, ``client_ip`` unless told. Past the limit: 429.
    """

    limit: int
    key: str | Sequence[str] | None = None
    ipv6_prefix: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Timeout(Declaration):
    """How long an answer may take: durations such as ``"5s"``, at most a day, or ``"off"``.

    ``first_byte``: until it begins, else 504; ``total``: until the last byte of its body has been
    produced, else a stream is cut off and its connection closed. ``timeout="5s"`` by itself is
    ``Timeout(first_byte="5s")``.
    """

    first_byte: str | bool | None = None
    total: str | bool | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class SecurityHeaders(Declaration):
    """Header fields that make browsers careful. ``"off"`` leaves one out.

    ``csp``, ``csp_report_only``: policies in which ``'nonce'`` is a nonce of each request's own,
    ``request.csp_nonce``. ``permissions_policy``: features and who may use them:
    ``{"camera": "off", "geolocation": ["self", "https://maps.example.com"]}``.
    ``hsts_preload``: takes a year and subdomains.
    """

    hsts: str | None = None
    hsts_subdomains: bool | None = None
    hsts_preload: bool | None = None
    nosniff: bool | None = None
    frame: str | None = None
    referrer: str | None = None
    csp: str | None = None
    csp_report_only: str | None = None
    permissions_policy: Mapping[str, str | bool | Sequence[str]] | str | None = None
    cross_origin_opener_policy: str | None = None
    cross_origin_embedder_policy: str | None = None
    cross_origin_resource_policy: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Compress(Declaration):
    """Compression of answers: ``encodings`` of ``zstd``, ``br``, ``gzip``; ``min_size`` a size.

    ``levels``: how hard each tries, ``{"zstd": 3, "br": 4, "gzip": 6}`` unless told.
    """

    encodings: Sequence[str] | None = None
    min_size: str | None = None
    levels: Mapping[str, int] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class AccessLog(Declaration):
    """One line for every answer. ``format``: ``json`` or ``text``; ``fields``: request headers."""

    format: str | None = None
    redact: Sequence[str] | None = None
    fields: Sequence[str] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class RequestId(Declaration):
    """Request ids. ``accept_from``: ``trusted_proxies``, ``any`` or ``none``."""

    header: str | None = None
    accept_from: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class PythonLimits(Declaration):
    """How a handler runs (``run``: auto, inline, queue, thread) and how many at once."""

    run: str | None = None
    concurrency: int | None = None
    queue: int | None = None
    max_wait: str | None = None

"""What a Django project's settings say that ``bolt.yaml`` can say: the material of ``bolt init``.

Nothing here guesses: what has no exact counterpart becomes a note, never a looser rule.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

YEAR = 31_536_000
_NONCE = "<CSP_NONCE_SENTINEL>"
_RATE = re.compile(r"(\d+)/([smhd])")
#: REST framework's throttles that count whoever asks, by their scopes.
_THROTTLES = {"anon": "AnonRateThrottle", "user": "UserRateThrottle"}


@dataclasses.dataclass
class Translation:
    """The lines of a file by block, and what is left to whoever reads it."""

    server: list[str] = dataclasses.field(default_factory=list)
    define: list[str] = dataclasses.field(default_factory=list)
    defaults: list[str] = dataclasses.field(default_factory=list)
    routes: list[str] = dataclasses.field(default_factory=list)
    #: What pybolt does not do, or does only when somebody has decided something.
    notes: list[str] = dataclasses.field(default_factory=list)
    #: Middleware and apps that pybolt's own routes no longer need.
    replaced: list[str] = dataclasses.field(default_factory=list)


class Settings:
    """A settings module, and which of its middleware is on."""

    def __init__(self, settings: Any) -> None:
        self._settings = settings
        self._middleware: tuple[str, ...] = tuple(self.get("MIDDLEWARE", ()))
        self.apps: tuple[str, ...] = tuple(self.get("INSTALLED_APPS", ()))

    def get(self, name: str, default: Any = None) -> Any:
        """A setting, Django's own default for it, or ``default``."""
        return getattr(self._settings, name, default)

    def middleware(self, ending: str) -> str | None:
        """The full name of the middleware that is on and ends like this."""
        return next((name for name in self._middleware if name.endswith(ending)), None)


def plain(value: Any) -> str:
    """A value as YAML has it in one line; a dollar sign is only that."""
    return json.dumps(value, ensure_ascii=False).replace("$", "$$")


def texts(values: Iterable[Any] | None) -> list[str]:
    """Settings are lists, tuples or sets of texts."""
    found = [str(value) for value in values or ()]
    return found if isinstance(values, list | tuple) else sorted(found)


def translate(settings: Any) -> Translation:
    """Everything that is translated, block by block."""
    found, given = Translation(), Settings(settings)
    for part in (_hosts, _proxies, _slashes, _security, _content_policy, _cross_origin):
        part(given, found)
    for part in (_forgery, _compression, _bodies, _throttles, _static):
        part(given, found)
    found.notes.append(
        "auth: who may use which route is no setting; until an auth method is defined, every route "
        "is public (`defaults: {auth: deny}` denies what does not say so)"
    )
    return found


def _hosts(given: Settings, found: Translation) -> None:
    hosts: list[str] = []
    for host in texts(given.get("ALLOWED_HOSTS")):
        if host == "*":
            found.notes.append("ALLOWED_HOSTS: `*` lets any host in; `server.hosts` is left out")
            hosts = []
            break
        hosts += [host[1:], f"*{host}"] if host.startswith(".") else [host]
    else:
        if not hosts:
            found.notes.append("ALLOWED_HOSTS is empty; name your hosts in `server.hosts`")
    if hosts:
        found.server.append(f"hosts: {plain(list(dict.fromkeys(hosts)))}  # ALLOWED_HOSTS")
    for name in ("USE_X_FORWARDED_HOST", "USE_X_FORWARDED_PORT"):
        if given.get(name):
            found.notes.append(
                f"{name}: pybolt reads `Host` alone; let the proxy pass it on as it came"
            )


def _proxies(given: Settings, found: Translation) -> None:
    header = given.get("SECURE_PROXY_SSL_HEADER")
    redirects = given.get("SECURE_SSL_REDIRECT") and given.middleware(".SecurityMiddleware")
    if header:
        name, value = header
        found.server += [
            "# client_ip_header: x-forwarded-for  # SECURE_PROXY_SSL_HEADER",
            "# trusted_proxies: [10.0.0.0/8]  # SECURE_PROXY_SSL_HEADER: where your proxies are",
        ]
        found.notes.append(
            "SECURE_PROXY_SSL_HEADER: nobody is believed until `server.trusted_proxies` names the "
            "proxies; then X-Forwarded-Proto is read"
        )
        if (name, value) != ("HTTP_X_FORWARDED_PROTO", "https"):
            found.notes.append(
                f"SECURE_PROXY_SSL_HEADER: {name}={value} is not a spelling it reads"
            )
    if redirects:
        found.server.append(
            "# https_redirect: on  # SECURE_SSL_REDIRECT: with trusted_proxies and hosts"
        )
        found.notes.append(
            "SECURE_SSL_REDIRECT: switch `server.https_redirect` on once `trusted_proxies` and "
            "`hosts` are there"
        )
    host = given.get("SECURE_SSL_HOST")
    if redirects and host:
        found.server.append(f"# canonical_host: {plain(host)}  # SECURE_SSL_HOST")
    if given.get("SECURE_REDIRECT_EXEMPT"):
        found.notes.append("SECURE_REDIRECT_EXEMPT: every path is redirected")


def _slashes(given: Settings, found: Translation) -> None:
    common = given.middleware("django.middleware.common.CommonMiddleware")
    if common and given.get("APPEND_SLASH"):
        found.server.append("paths: {trailing_slash: django}  # APPEND_SLASH")
    if common and given.get("PREPEND_WWW"):
        found.notes.append("PREPEND_WWW: write `server.canonical_host: www.…`")
    if common and given.get("DISALLOWED_USER_AGENTS"):
        found.notes.append("DISALLOWED_USER_AGENTS has no counterpart")


def _security(given: Settings, found: Translation) -> None:
    slots: list[str] = []
    secure = given.middleware("django.middleware.security.SecurityMiddleware")
    if secure:
        slots += _transport(given, found)
        nosniff = "on" if given.get("SECURE_CONTENT_TYPE_NOSNIFF") else "off"
        slots.append(f"nosniff: {nosniff}  # SECURE_CONTENT_TYPE_NOSNIFF")
        slots.append(_referrer(given, found))
        opener = given.get("SECURE_CROSS_ORIGIN_OPENER_POLICY") or "off"
        slots.append(f"cross_origin_opener_policy: {opener}  # SECURE_CROSS_ORIGIN_OPENER_POLICY")
        found.replaced.append(secure)
    framed = given.middleware("django.middleware.clickjacking.XFrameOptionsMiddleware")
    if framed:
        slots.append(f"frame: {str(given.get('X_FRAME_OPTIONS')).lower()}  # X_FRAME_OPTIONS")
        found.replaced.append(framed)
    elif secure:
        slots.append("frame: off  # XFrameOptionsMiddleware is not in MIDDLEWARE")
    if slots:
        found.defaults += ["security_headers:", *(f"  {slot}" for slot in slots)]


def _transport(given: Settings, found: Translation) -> Iterator[str]:
    seconds = int(given.get("SECURE_HSTS_SECONDS") or 0)
    if not seconds:
        return
    yield f"hsts: {seconds}s  # SECURE_HSTS_SECONDS"
    subdomains = given.get("SECURE_HSTS_INCLUDE_SUBDOMAINS")
    if subdomains:
        yield "hsts_subdomains: on  # SECURE_HSTS_INCLUDE_SUBDOMAINS"
    if given.get("SECURE_HSTS_PRELOAD") and subdomains and seconds >= YEAR:
        yield "hsts_preload: on  # SECURE_HSTS_PRELOAD"
    elif given.get("SECURE_HSTS_PRELOAD"):
        found.notes.append("SECURE_HSTS_PRELOAD: preload lists take a year and subdomains")


def _referrer(given: Settings, found: Translation) -> str:
    policy = given.get("SECURE_REFERRER_POLICY")
    listed = policy.split(",") if isinstance(policy, str) else texts(policy)
    words = [word.strip() for word in listed if word.strip()]
    if len(words) > 1:
        found.notes.append("SECURE_REFERRER_POLICY: the last of several is taken, as browsers do")
    return f"referrer: {words[-1] if words else 'off'}  # SECURE_REFERRER_POLICY"


def _content_policy(given: Settings, found: Translation) -> None:
    on = given.middleware(".ContentSecurityPolicyMiddleware")
    for setting, key in (("SECURE_CSP", "csp"), ("SECURE_CSP_REPORT_ONLY", "csp_report_only")):
        policy = given.get(setting)
        if not (on and policy):
            continue
        if not found.defaults or found.defaults[0] != "security_headers:":
            found.defaults.insert(0, "security_headers:")
        text = "; ".join(_directives(policy))
        found.defaults.append(f"  {key}: {plain(text)}  # {setting}")
    if on:
        found.replaced.append(on)
    if any(app == "csp" or app.startswith("csp.") for app in given.apps) or given.middleware(
        "csp.middleware.CSPMiddleware"
    ):
        found.notes.append("django-csp: write its policy as `security_headers.csp`")


def _directives(policy: dict[str, Any]) -> Iterator[str]:
    for name, values in policy.items():
        if values is None or values is False:
            continue
        sources = [] if values is True else [values] if isinstance(values, str) else texts(values)
        words = ["'nonce'" if source == _NONCE else source for source in sources]
        yield " ".join([name, *words])


def _cross_origin(given: Settings, found: Translation) -> None:
    on = given.middleware("corsheaders.middleware.CorsMiddleware")
    if not on:
        return
    found.replaced += [on, *(app for app in given.apps if app == "corsheaders")]
    credentials = bool(given.get("CORS_ALLOW_CREDENTIALS", False))
    origins = texts(given.get("CORS_ALLOWED_ORIGINS") or given.get("CORS_ORIGIN_WHITELIST"))
    source = "CORS_ALLOWED_ORIGINS"
    if given.get("CORS_ALLOW_ALL_ORIGINS") or given.get("CORS_ORIGIN_ALLOW_ALL"):
        origins, source = ["*"], "CORS_ALLOW_ALL_ORIGINS"
        if credentials:
            credentials = False
            found.notes.append(
                "CORS_ALLOW_CREDENTIALS with CORS_ALLOW_ALL_ORIGINS: any site could act as your "
                "users; credentials are left out until the origins are named"
            )
    if credentials:
        for origin in [origin for origin in origins if not _secure(origin)]:
            origins.remove(origin)
            found.notes.append(f"CORS_ALLOWED_ORIGINS: {origin} with credentials is not secure")
    _unsaid_about_origins(given, found)
    if not origins:
        found.notes.append("CORS: no origin is left that could be allowed; there is no `cors`")
        return
    lines = [f"origins: {plain(origins)}  # {source}"]
    if credentials:
        lines.append("credentials: on  # CORS_ALLOW_CREDENTIALS")
    lines += _fields_across(given, found)
    found.define += ["cors:", "  site:", *(f"    {line}" for line in lines)]
    found.defaults.append("cors: site  # corsheaders.middleware.CorsMiddleware")


def _secure(origin: str) -> bool:
    local = re.match(r"http://(localhost|127\.0\.0\.1|\[::1\])(:|$)", origin)
    return origin.startswith("https://") or bool(local)


def _unsaid_about_origins(given: Settings, found: Translation) -> None:
    for pattern in texts(given.get("CORS_ALLOWED_ORIGIN_REGEXES")):
        found.notes.append(
            f"CORS_ALLOWED_ORIGIN_REGEXES: {pattern} is no list of origins; what is below a name "
            'is written {suffix: "https://*.example.com"}'
        )
    if given.get("CORS_URLS_REGEX", r"^.*$") != r"^.*$":
        found.notes.append("CORS_URLS_REGEX: set `cors` on the groups that it means instead")
    if given.get("CORS_ALLOW_PRIVATE_NETWORK"):
        found.notes.append("CORS_ALLOW_PRIVATE_NETWORK has no counterpart")


def _fields_across(given: Settings, found: Translation) -> Iterator[str]:
    methods = texts(given.get("CORS_ALLOW_METHODS")) or [
        "DELETE",
        "GET",
        "OPTIONS",
        "PATCH",
        "POST",
        "PUT",
    ]
    yield f"allow_methods: {plain(methods)}  # CORS_ALLOW_METHODS"
    headers = texts(given.get("CORS_ALLOW_HEADERS")) or [
        "accept",
        "authorization",
        "content-type",
        "user-agent",
        "x-csrftoken",
        "x-requested-with",
    ]
    yield f"allow_headers: {plain(headers)}  # CORS_ALLOW_HEADERS"
    exposed = texts(given.get("CORS_EXPOSE_HEADERS"))
    if exposed:
        yield f"expose_headers: {plain(exposed)}  # CORS_EXPOSE_HEADERS"
    age = int(given.get("CORS_PREFLIGHT_MAX_AGE", 86400) or 0)
    if age > 86400:
        found.notes.append("CORS_PREFLIGHT_MAX_AGE: no browser remembers more than 24h")
    yield f"max_age: {min(age, 86400)}s  # CORS_PREFLIGHT_MAX_AGE"


def _forgery(given: Settings, found: Translation) -> None:
    if not given.middleware("django.middleware.csrf.CsrfViewMiddleware"):
        return
    origins: list[Any] = []
    for origin in texts(given.get("CSRF_TRUSTED_ORIGINS")):
        origins.append({"suffix": origin} if "*" in origin else origin)
    if origins:
        found.defaults.append(
            f"csrf: {{trusted_origins: {plain(origins)}}}  # CSRF_TRUSTED_ORIGINS"
        )
    else:
        found.defaults.append("csrf: on  # django.middleware.csrf.CsrfViewMiddleware")


def _compression(given: Settings, found: Translation) -> None:
    name = given.middleware("django.middleware.gzip.GZipMiddleware")
    if name:
        found.defaults.append(f"compress: {{min_size: 200B}}  # {name}")
        found.replaced.append(name)


def _bodies(given: Settings, found: Translation) -> None:
    size = given.get("DATA_UPLOAD_MAX_MEMORY_SIZE")
    if size is None:
        found.notes.append("DATA_UPLOAD_MAX_MEMORY_SIZE is None: bodies have no limit but yours")
        return
    found.defaults.append(
        f"body_limit: {_size(int(size))}  # DATA_UPLOAD_MAX_MEMORY_SIZE; uploaded files count too"
    )


def _size(count: int) -> str:
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count and count % factor == 0:
            return f"{count // factor}{unit}"
    return f"{count}B"


def _throttles(given: Settings, found: Translation) -> None:
    drf = given.get("REST_FRAMEWORK") or {}
    classes = [str(name).rpartition(".")[2] for name in drf.get("DEFAULT_THROTTLE_CLASSES") or ()]
    limits: list[str] = []
    for scope, rate in (drf.get("DEFAULT_THROTTLE_RATES") or {}).items():
        setting = f"REST_FRAMEWORK.DEFAULT_THROTTLE_RATES[{scope}]"
        parsed = _RATE.match(rate or "")
        if rate is None:
            continue
        if parsed is None:
            found.notes.append(f"{setting}: {rate} is not a rate")
            continue
        written = f"{parsed[1]}/1{parsed[2]}"
        if scope in _THROTTLES and _THROTTLES[scope] in classes:
            if not limits:
                found.define.append("rate_limit:")
            limits.append(scope)
            found.define.append(f"  {scope}: {{rate: {written}, key: client_ip}}  # {setting}")
        else:
            found.notes.append(
                f"{setting}: write `rate_limit: {{{scope}: {{rate: {written}}}}}` on its routes"
            )
    if limits:
        named = ", ".join(f"{scope}: on" for scope in limits)
        found.defaults.append(f"rate_limit: {{{named}}}  # DEFAULT_THROTTLE_CLASSES")
        found.notes.append(
            "REST_FRAMEWORK.DEFAULT_THROTTLE_CLASSES: until an auth method says who asks, every "
            'limit counts by address, and whoever comes; then write `key: "claim:sub"` for users'
        )


def _static(given: Settings, found: Translation) -> None:
    url, root = given.get("STATIC_URL"), given.get("STATIC_ROOT")
    if not (url and root):
        return
    path = urlsplit(str(url)).path
    if not (path.startswith("/") and path.endswith("/")) or "//" in str(url):
        found.notes.append(f"STATIC_URL {url}: who serves that goes on doing so")
        return
    whitenoise = given.middleware("whitenoise.middleware.WhiteNoiseMiddleware")
    options = ["root: django", "precompressed: [br, gzip]"]
    slots = ["auth: public"]
    source = "STATIC_URL, STATIC_ROOT"
    if any(line.startswith("rate_limit:") for line in found.defaults):
        slots.append("rate_limit: off")
    if whitenoise:
        source += f", {whitenoise}"
        found.replaced.append(whitenoise)
        age = given.get("WHITENOISE_MAX_AGE", 0 if given.get("DEBUG") else 60)
        options.append("cache: off" if age is None else f"cache: {int(age)}s")
        if given.get("WHITENOISE_INDEX_FILE"):
            index = given.get("WHITENOISE_INDEX_FILE")
            options.append(f"index: {plain('index.html' if index is True else str(index))}")
        if given.get("WHITENOISE_ALLOW_ALL_ORIGINS", True):
            slots.append('cors: {origins: ["*"]}')
        if given.get("WHITENOISE_ROOT"):
            found.notes.append("WHITENOISE_ROOT: write a `files` route for what must be at the top")
    files = f"files: {{{', '.join(options)}}}"
    pattern = plain(f"{path}{{*path}}")
    line = f"- {{path: {pattern}, {files}, {', '.join(slots)}}}  # {source}"
    if os.path.isdir(root):
        found.routes.append(line)
        return
    found.routes.append(f"# {line}")
    found.notes.append(
        f"STATIC_ROOT {root} is no directory yet: run `collectstatic`, then take the `#` off"
    )

"""``bolt init``: real Django projects, with the apps whose settings it reads."""

import os
import re
from pathlib import Path

import pytest
import yaml

from tests.unit.command import bolt, bolts
from tests.unit.test_snapshots import compare

MANAGE = """\
import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
"""

# What `startproject` writes, as far as it matters here.
BARE = """\
SECRET_KEY = "x" * 50
DEBUG = True
ALLOWED_HOSTS = []
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
STATIC_URL = "static/"
"""

FULL = """\
from pathlib import Path

BASE_DIR = Path(__file__).parent.parent
SECRET_KEY = "x" * 50
ALLOWED_HOSTS = ["example.com", ".example.org"]
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.staticfiles",
    "corsheaders",
    "rest_framework",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
SECURE_SSL_REDIRECT = True
SECURE_SSL_HOST = "example.com"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
USE_X_FORWARDED_HOST = True
SECURE_HSTS_SECONDS = 63072000
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SECURE_REFERRER_POLICY = "no-referrer, strict-origin"
SECURE_CSP = {
    "default-src": ["'self'"],
    "script-src": ["'self'", "<CSP_NONCE_SENTINEL>"],
    "upgrade-insecure-requests": True,
    "img-src": None,
}
X_FRAME_OPTIONS = "SAMEORIGIN"
CORS_ALLOWED_ORIGINS = ["https://app.example.com", "http://app.example.com"]
CORS_ALLOWED_ORIGIN_REGEXES = [r"^https://\\w+\\.example\\.com$"]
CORS_ALLOW_CREDENTIALS = True
CORS_EXPOSE_HEADERS = ["x-total"]
CORS_PREFLIGHT_MAX_AGE = 600
CSRF_TRUSTED_ORIGINS = ["https://app.example.com", "https://*.example.org"]
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024
STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "static$x"
WHITENOISE_INDEX_FILE = True
REST_FRAMEWORK = {
    "DEFAULT_THROTTLE_CLASSES": [
        "rest_framework.throttling.AnonRateThrottle",
        "rest_framework.throttling.UserRateThrottle",
    ],
    "DEFAULT_THROTTLE_RATES": {"anon": "100/day", "user": "20/min", "uploads": "5/hour"},
}
"""


@pytest.fixture
def site(tmp_path):
    def make(settings: str) -> Path:
        package = tmp_path / "mysite"
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "settings.py").write_text(settings)
        (tmp_path / "manage.py").write_text(MANAGE)
        (tmp_path / "static$x").mkdir()
        (tmp_path / "static$x" / "a.css").write_text("a {}")
        return tmp_path

    return make


def routed(directory: Path) -> Path:
    """The file that was written, with a route that its policies hold for."""
    (directory / "handlers.py").write_text("def hello(request):\n    return {}\n")
    path = directory / "bolt.yaml"
    text = path.read_text()
    route = "  - {path: /hello, handler: 'handlers:hello'}\n"
    begun = "\nroutes:\n" in text
    path.write_text(
        text.replace("\nroutes:\n", f"\nroutes:\n{route}") if begun else f"{text}routes:\n{route}"
    )
    return path


@pytest.mark.parametrize(("name", "settings"), [("init_bare", BARE), ("init_full", FULL)])
def test_a_project_becomes_a_file_that_passes(site, name, settings):
    directory = site(settings)
    made = bolt(directory, "init", DJANGO_SETTINGS_MODULE="")
    assert made.returncode == 0, made.stderr
    compare(name, (directory / "bolt.yaml").read_text() + "\n$ bolt init\n" + made.stdout)
    found = bolt(directory, "check", DJANGO_SETTINGS_MODULE="")
    assert found.returncode == 0, found.stdout + found.stderr
    routed(directory)
    found = bolt(directory, "check", "--strict", DJANGO_SETTINGS_MODULE="")
    assert found.returncode == 0, found.stdout + found.stderr


def test_what_was_set_is_what_is_done(site):
    directory = site(FULL)
    assert bolt(directory, "init").returncode == 0
    routed(directory)
    origin = ["-H", "Origin: https://app.example.com"]
    told, static, elsewhere = (
        done.stdout
        for done in bolts(
            directory,
            ["explain", "GET", "http://example.org/hello", *origin],
            ["explain", "GET", "http://example.org/static/a.css"],
            ["explain", "GET", "http://evil.test/"],
        )
    )
    for expected in [
        "content-security-policy with a nonce",
        "strict-transport-security",
        "zstd br gzip from 200B",
        "100/1d",
        "20/1m",
        "5MiB",
        "200",
    ]:
        assert expected in told, told
    # The origin that would be told apart by nothing but its scheme is left out, and told of.
    document = yaml.safe_load((directory / "bolt.yaml").read_text())
    assert document["define"]["cors"]["site"]["origins"] == ["https://app.example.com"]
    assert "rate_limit" not in static
    assert "200" in static
    assert "421 (misdirected)" in elsewhere


def test_a_root_that_is_not_there_yet_is_left_commented_out(site):
    directory = site(FULL.replace('"static$x"', '"later"'))
    made = bolt(directory, "init")
    assert "later is no directory yet: run `collectstatic`" in made.stdout
    assert bolt(directory, "check").returncode == 0
    (directory / "later").mkdir()
    text = (directory / "bolt.yaml").read_text()
    written = text.replace("  # - {path:", "  - {path:")
    assert written != text
    (directory / "bolt.yaml").write_text(written.replace("\n  - {path:", "\nroutes:\n  - {path:"))
    done = bolt(directory, "check", "--strict")
    assert done.returncode == 0, done.stdout


def test_any_origin_with_credentials_is_not_taken_over(site):
    cors = (
        'INSTALLED_APPS = ["corsheaders"]\nCORS_ALLOW_ALL_ORIGINS = CORS_ALLOW_CREDENTIALS = True\n'
    )
    directory = site(
        'SECRET_KEY = "x" * 50\nALLOWED_HOSTS = ["*"]\nDATA_UPLOAD_MAX_MEMORY_SIZE = None\n'
        f'{cors}MIDDLEWARE = ["corsheaders.middleware.CorsMiddleware"]\n'
    )
    made = bolt(directory, "init")
    assert made.returncode == 0, made.stderr
    for setting in ("CORS_ALLOW_CREDENTIALS", "ALLOWED_HOSTS", "DATA_UPLOAD_MAX_MEMORY_SIZE"):
        assert f"left to you: {setting}" in made.stdout
    document = yaml.safe_load((directory / "bolt.yaml").read_text())
    assert document["define"]["cors"]["site"]["origins"] == ["*"]
    assert "credentials" not in document["define"]["cors"]["site"]
    assert "server" not in document
    assert bolt(directory, "check").returncode == 0


def test_no_file_is_written_over_unless_told(site):
    directory = site(BARE)
    (directory / "bolt.yaml").write_text("mine")
    refused = bolt(directory, "init")
    assert refused.returncode == 2
    assert "bolt.yaml is there already; `--force`" in refused.stderr
    assert (directory / "bolt.yaml").read_text() == "mine"
    os.symlink(directory / "nowhere.yaml", directory / "link.yaml")
    assert bolt(directory, "init", "--output", "link.yaml").returncode == 2
    assert not (directory / "nowhere.yaml").exists()
    shown = bolt(directory, "init", "--output", "-")
    assert shown.returncode == 0
    assert yaml.safe_load(shown.stdout)["settings"] == "mysite.settings"
    assert bolt(directory, "init", "--force").returncode == 0
    assert (directory / "bolt.yaml").read_text() == shown.stdout


def test_settings_that_cannot_be_had(tmp_path, site):
    missing = bolt(tmp_path, "init", DJANGO_SETTINGS_MODULE="")
    assert (missing.returncode, "name them with `--settings`" in missing.stderr) == (2, True)
    directory = site("import nowhere_at_all\n")
    commands = ["init"], ["init", "--settings", "nosuch.settings"]
    for failed in bolts(directory, *commands, DJANGO_SETTINGS_MODULE=""):
        assert failed.returncode == 1
        assert re.match(r"bolt init: .*(nowhere_at_all|nosuch)", failed.stderr), failed.stderr
        assert "Traceback" not in failed.stderr
    assert not (directory / "bolt.yaml").exists()

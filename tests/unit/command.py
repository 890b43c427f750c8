"""``bolt`` in a process of its own, and a configuration for it."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent

BROKEN = """\
version: 1
define:
  auth:
    jwt:
      type: jwt
      secret: ${JWT_SECRET}
      algorithms: [HS256]
      issuers: https://id.example.com/
  rate_limit:
    login: {rate: 5/15}
routes:
  - {path: /a, handler: "handlers:hello", auth: jwt, rate_limit: {login: on}}
  - {path: /b, handler: "handlers:helo", auth: public}
"""

FINE = """\
version: 1
define:
  cors:
    spa: {origins: ["https://app.example.com"]}
  auth:
    jwt: {type: jwt, secret: "${JWT_SECRET}", algorithms: [HS256]}
defaults:
  request_id: on
  rate_limit: {per_ip: {rate: 100/1m, burst: 50}}
groups:
  - name: api
    prefix: /api
    cors: spa
    auth: jwt
    routes:
      - {path: "/items/{id}", handler: "handlers:item", allow: 'scope("read")'}
routes:
  - {path: /hello, handler: "handlers:hello", auth: public}
"""

HANDLERS = """\
def hello(request):
    return {}

def item(request, id: int):
    return id
"""


def bolt(directory, *arguments, **environ):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JWT_SECRET": "s" * 40, "NO_COLOR": "1"}
    return subprocess.run(
        [sys.executable, "-m", "pybolt", *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        env=environment | environ,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )

"""A configuration for ``bolt``, and ``bolt`` with what it needs."""

from tests import command

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
    given = {"JWT_SECRET": "s" * 40, "NO_COLOR": "1"} | environ
    return command.bolt(directory, *arguments, environ=given)


def bolts(directory, *commands, **environ):
    """The same for several commands that need nothing of each other, beside each other."""
    return command.beside(lambda words: bolt(directory, *words, **environ), commands)

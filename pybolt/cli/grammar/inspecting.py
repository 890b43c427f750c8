"""Commands that tell what a configuration says: ``check``, ``explain``, ``dump``, ``routes``."""

from __future__ import annotations

from .. import arguments
from .command import APP, Commands, Parser, add_command, output_format

_CHECK = """\
Findings go to standard output; `bolt run` writes the same to standard error before it gives up.

examples:
  bolt check                               ./bolt.yaml
  bolt check app.py --config bolt.yaml --strict
  bolt check --online                      and every JWKS URL, Redis and database, ten seconds each
  bolt check --format sarif > bolt.sarif   for code scanning
  bolt check --explain E014                what a code means, and what to do
"""

_EXPLAIN = """\
Nothing is served, run or logged: the request goes through the same engine without its handlers.
With --analyze PostgreSQL runs the route's query for this request, in a transaction that reads only
and is rolled back, and shows its plan with costs, rows and times; SQLite shows its plan without
running it. `Seq Scan` and `SCAN` read a whole table, `Sort` and `TEMP B-TREE` sort what they read.

examples:
  bolt explain GET /items/7
  bolt explain GET '/items?q=tea' --analyze
  bolt explain POST /items app.py -H 'Authorization: Bearer ...'
  bolt explain GET /admin/ --peer 10.1.2.3
  bolt explain OPTIONS /items -H 'Origin: https://app.example.com' \\
      -H 'Access-Control-Request-Method: POST'
"""

_DUMP = """\
Secrets are not shown: nothing of a secret option, of a value that was read by ${file:...}, or of
a password in a URL. The YAML can be loaded again once they are filled in.

examples:
  bolt dump --resolved
  bolt dump --resolved --format json shop.api:api
"""

_ROUTES = """\
examples:
  bolt routes
  bolt routes --django           which of the project's URLs nobody would answer
"""


def inspecting(commands: Commands[Parser]) -> None:
    """Adds them."""
    check = add_command(commands, "check", "find every mistake without starting anything", _CHECK)
    check.add_argument("app", nargs="?", metavar="APP", help=APP)
    output_format(check, "sarif", help="for people, for programs, or SARIF 2.1.0 for code scanning")
    check.add_argument(
        "--online",
        action="store_true",
        help="also fetch keys at URLs, ask stores of limits, as a server would, and have databases "
        "prepare the statements of declared reads (default: off)",
    )
    check.add_argument(
        "--explain",
        metavar="CODE",
        type=str.upper,
        help="instead, tell what a code means, with an example (default: off)",
    )
    check.add_argument(
        "--strict", action="store_true", help="take warnings for errors (default: off)"
    )
    explain = add_command(
        commands,
        "explain",
        "show what a request would meet, and where each policy is written",
        _EXPLAIN,
    )
    explain.add_argument("method", metavar="METHOD", help="GET, POST, ...")
    explain.add_argument("url", metavar="URL", help="/path?query, or with http:// and a host")
    explain.add_argument("app", nargs="?", metavar="APP", help=APP)
    explain.add_argument(
        "-H",
        "--header",
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        type=arguments.header,
        help="a header field of the request; may be repeated (default: none but Host)",
    )
    explain.add_argument(
        "--peer",
        default="127.0.0.1",
        metavar="ADDRESS",
        type=arguments.address,
        help="the address that the request comes from (default: 127.0.0.1)",
    )
    output_format(explain)
    explain.add_argument(
        "--analyze",
        action="store_true",
        help="also ask the database how it runs the query that answers (default: off)",
    )
    explain.add_argument(
        "--live",
        action="store_true",
        help="also ask the server that runs where the route runs now (default: off)",
    )
    dump = add_command(
        commands, "dump", "print the configuration that holds for every route", _DUMP
    )
    dump.add_argument("app", nargs="?", metavar="APP", help=APP)
    dump.add_argument(
        "--resolved",
        action="store_true",
        required=True,
        help="merged, inherited and with every reference resolved, each value with its origin",
    )
    dump.add_argument(
        "--format",
        choices=("yaml", "json"),
        default="yaml",
        help="a configuration with comments, or for programs (default: yaml)",
    )
    routes = add_command(commands, "routes", "list every route, and who may use it", _ROUTES)
    routes.add_argument("app", nargs="?", metavar="APP", help=APP)
    routes.add_argument(
        "--django",
        action="store_true",
        help="list the Django project's URLs, with the routes that cover them (default: off)",
    )

"""nginx on one port, in the foreground: `python -m bench.nginx PORT DIRECTORY` becomes it."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

# What a server of static files is set to: sendfile, no log, connections that stay.
CONFIG = """\
worker_processes 1;
daemon off;
pid {scratch}/nginx.pid;
error_log stderr warn;
user {user};
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    default_type application/octet-stream;
    client_body_temp_path {scratch}/body;
    proxy_temp_path {scratch}/proxy;
    fastcgi_temp_path {scratch}/fastcgi;
    uwsgi_temp_path {scratch}/uwsgi;
    scgi_temp_path {scratch}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location /files/ {{ alias {directory}/; }}
    }}
}}
"""


def main(port: str, directory: str) -> None:
    """Write the configuration and become nginx."""
    scratch = Path(tempfile.mkdtemp(prefix="bench-nginx-"))
    user = "root" if os.geteuid() == 0 else "nobody"
    config = scratch / "nginx.conf"
    config.write_text(CONFIG.format(port=port, directory=directory, scratch=scratch, user=user))
    os.execvp("nginx", ["nginx", "-p", str(scratch), "-e", "stderr", "-c", str(config)])


if __name__ == "__main__":
    main(*sys.argv[1:])

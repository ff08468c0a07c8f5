"""Hosts that take packages for a while, and stores that forget what they are asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import urlsplit

from tests import servers


class Host:
    """A host that goes down after some packages of a channel, and comes back."""

    def __init__(self, source: Path, packages: int) -> None:
        self.indexes = {
            path.parent.name: json.loads(path.read_bytes())
            for path in source.glob("*/repodata.json")
        }
        self.known = {name for index in self.indexes.values() for name in index["packages.conda"]}
        self.there: list[str] = []
        self.packages = packages
        self.server = servers.Recorder(lambda *_: None)

    def answer(self, method: str, path: str) -> tuple[int, bytes] | None:
        """Answer as prefix.dev, anaconda.org, quetz and artifactory do."""
        if len(self.there) == self.packages:
            return 503, b'{"message": "down for maintenance"}'
        subdir, _, file = path.rpartition("/")
        if method == "GET" and file == "repodata.json":
            index = self.indexes.get(subdir.rpartition("/")[2], {"packages.conda": {}})
            kept = {k: v for k, v in index["packages.conda"].items() if k in self.there}
            return 200, json.dumps({**index, "packages.conda": kept}).encode()
        if method in {"GET", "HEAD"}:
            return None
        if path.startswith("/stage/"):
            form = {"post_url": f"{self.server.url}/storage", "form_data": {}, "dist_id": "d"}
            return 200, json.dumps(form).encode()
        # the last step at anaconda.org, the only one elsewhere
        _, _, headers, body = self.server.asked[-1]
        sent = f"{path} {headers} ".encode() + body
        if not path.startswith("/storage"):
            self.there += [name for name in self.known if name.encode() in sent]
        return 200, b"{}"


@contextmanager
def forgetful(endpoint: str, *headers: str, asked: list[str] | None = None) -> Iterator[str]:
    """Pass requests on without some headers, as a store does that does not know them.

    ``asked`` gets the method and the path of each.
    """
    place = urlsplit(endpoint).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            sent = {k: v for k, v in self.headers.items() if k.lower() not in headers}
            connection = HTTPConnection(place)
            if asked is not None:
                asked.append(f"{self.command} {self.path}")
            connection.request(self.command, self.path, body, sent)
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
                    self.send_header(name, value)
            size = answer.getheader("Content-Length") if self.command == "HEAD" else None
            self.send_header("Content-Length", size or str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any  # noqa: N815

    with servers.serving(Handler) as url:
        yield url

"""Real servers on this machine for a test: nginx, moto's S3, quetz, and one that records."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import opendal
from filelock import FileLock
from platformdirs import user_cache_path

from generator.transport import forget_hosts
from tests.installing import pip

#: quetz 0.10.4 does not start with newer versions of what it needs; it imports distutils, which
#: setuptools brings where Python has it no more (from 3.12 on). From SQLAlchemy 2 on a file of
#: SQLite's has 15 connections at most, and each index that is being made holds one: an upload that
#: finds none for 30 seconds is answered by 500.
QUETZ_NEEDS = str(Path(__file__).with_name("quetz-constraints.txt"))
QUETZ = ("quetz-server", "setuptools", "--constraint", QUETZ_NEEDS)

#: seconds after which a process hangs for certain, also on a machine that is busy with much else:
#: moto has been seen to take more than one minute to start beside other work
PATIENCE = 600


class MissingServerError(Exception):
    """A server that is not installed here."""


def free_port() -> int:
    """Return a port for a server that has to be told one.

    Below those that systems give to clients (32768 on Linux, 49152 elsewhere: RFC 6335, 6), so
    that no connection takes it between this look and the server's start.
    """
    while True:
        port = random.SystemRandom().randrange(20_000, 32_768)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_for(url: str, process: subprocess.Popen[bytes] | None = None) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if process is not None and process.poll() is not None:
            break
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except urllib.error.HTTPError as error:
            error.close()
            if error.code < 500:
                return  # it answers, if only to ask for a login
        except OSError:
            pass
        else:
            return
        time.sleep(0.1)
    msg = f"{url} does not answer"
    raise AssertionError(msg)


def wait_until(wanted: object, now: Callable[[], object], urge: Callable[[], None]) -> None:
    """Wait for a server to do what it does in its own time, urged now and then.

    Each look is a command of its own: what a process has given up for being slow it asks no more.
    """
    end, seconds = time.monotonic() + PATIENCE, 0
    while (seen := now()) != wanted:
        forget_hosts()
        assert time.monotonic() < end, f"{wanted} was waited for; the last that was seen: {seen}"
        time.sleep(1)
        seconds += 1
        if seconds % 20 == 0:
            urge()


@contextmanager
def running(command: list[str], url: str, **options: Any) -> Iterator[None]:
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, start_new_session=True, **options
    )
    try:
        wait_for(url, process)
        yield
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):  # a client that stays connected
            process.wait(30)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # quetz leaves its workers behind
        process.wait()


@contextmanager
def nginx(root: Path, work: Path) -> Iterator[str]:
    """Serve a folder; yields its URL."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        msg = "nginx is not installed: apt-get install nginx-light"
        raise MissingServerError(msg)
    port = free_port()
    work.mkdir(parents=True, exist_ok=True)
    paths = "\n".join(
        f"{kind}_temp_path {work}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;" if os.geteuid() == 0 else ""
    (work / "nginx.conf").write_text(f"""
daemon off; {user} pid {work}/pid; error_log {work}/error.log;
events {{}}
http {{
  include /etc/nginx/mime.types; access_log off; {paths}
  server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
""")
    url = f"http://127.0.0.1:{port}"
    command = [program, "-p", str(work), "-c", str(work / "nginx.conf"), "-e", f"{work}/error.log"]
    with running(command, f"{url}/noarch/repodata.json"):
        yield url


@dataclass(frozen=True)
class Bucket:
    """A bucket at moto's server."""

    endpoint: str
    name: str = "bucket"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": "test-key",
            "AWS_SECRET_ACCESS_KEY": "test-secret-that-nobody-may-see",
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "us-east-1",
        }

    def url(self, path: str) -> str:
        """Where a client without credentials reads it."""
        return f"{self.endpoint}/{self.name}/{path}"

    def operator(self, prefix: str) -> opendal.Operator:
        return opendal.Operator(
            "s3",
            bucket=self.name,
            root=f"/{prefix}",
            endpoint=self.endpoint,
            region="us-east-1",
            access_key_id="test-key",
            secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
            disable_config_load="true",
            disable_ec2_metadata="true",
        )


@contextmanager
def s3() -> Iterator[Bucket]:
    """Run moto's S3 server, with a bucket in it."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-p", str(port)]
    with running(command, f"{url}/moto-api/", stderr=subprocess.DEVNULL):
        anyone = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject"}
        policy = {"Version": "2012-10-17", "Statement": [anyone | {"Resource": "arn:aws:s3:::*"}]}
        for place, body in (("", b""), ("?policy", json.dumps(policy).encode())):
            headers = {"Content-Type": "application/json"}
            made = urllib.request.Request(f"{url}/bucket{place}", body, headers, method="PUT")
            urllib.request.urlopen(made, timeout=60).close()
        yield Bucket(url)


@dataclass(frozen=True)
class Quetz:
    """A quetz server and the key of a user who may do everything."""

    url: str
    api_key: str

    def make_channel(self, name: str) -> None:
        self._send("POST", "", {"name": name, "description": "", "private": False})

    def index(self, name: str) -> None:
        """Have the index made again.

        It is made after each upload, by threads that do not wait for each other: the one that
        began before the last upload may write its index last. While they write, its database may
        be locked for longer than it waits, and it answers 500: it is asked again later.
        """
        try:
            self._send("PUT", f"/{name}/actions", {"action": "generate_indexes"})
        except urllib.error.HTTPError as error:
            error.close()
            if error.code < 500:
                raise

    def _send(self, method: str, place: str, body: dict[str, object]) -> None:
        headers = {"X-API-Key": self.api_key, "Content-Type": "application/json"}
        url = f"{self.url}/api/channels{place}"
        asked = urllib.request.Request(url, json.dumps(body).encode(), headers, method=method)
        urllib.request.urlopen(asked, timeout=60).close()


@contextmanager
def quetz(work: Path) -> Iterator[Quetz]:
    """Run quetz from an environment of its own, which is kept in the user's cache."""
    home = user_cache_path("armtorch") / "quetz-server"
    home.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{home}.lock"):
        stamp, needs = home / ".installed", Path(QUETZ_NEEDS).read_text()
        if not stamp.exists() or stamp.read_text() != needs:
            venv.create(home, with_pip=True, clear=True)
            pip(home / "bin/python", "install", "--quiet", *QUETZ)
            stamp.write_text(needs)
    program, folder, port = str(home / "bin/quetz"), work / "quetz", free_port()
    variables = {**os.environ, "PYTHONWARNINGS": "ignore"}
    subprocess.run(
        [program, "create", str(folder), "--create-conf", "--dev"],
        check=True,
        capture_output=True,
        cwd=work,  # it leaves a log where it stands
        env=variables,
    )
    with contextlib.closing(sqlite3.connect(folder / "quetz.sqlite")) as database:
        # --dev makes one user with a key; whoever may make channels is an owner of the server
        key, user = database.execute("select key, user_id from api_keys").fetchone()
        database.execute("update users set role = 'owner' where id = ?", (user,))
        database.commit()
        # readers and the threads that make indexes do not wait for a writer then
        database.execute("pragma journal_mode = wal")
    url = f"http://127.0.0.1:{port}"
    command = [program, "start", str(folder), "--port", str(port), "--host", "127.0.0.1"]
    options = {"stderr": subprocess.DEVNULL, "env": variables, "cwd": work}
    with running(command, f"{url}/api/channels", **options):
        yield Quetz(url, key)


@contextmanager
def serving(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[str]:
    """Answer requests by a handler each in a thread of its own; yields the URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@dataclass
class Recorder:
    """A server that keeps what it is sent, and answers by a function."""

    #: (method, path with query) -> (status, body); None: 404
    answer: Callable[[str, str], tuple[int, bytes] | None]
    url: str = ""
    #: (method, path, headers, bytes of the body)
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)

    def requests(self) -> list[str]:
        return [f"{method} {path}" for method, path, _, _ in self.asked]


@contextmanager
def recorder(answer: Callable[[str, str], tuple[int, bytes] | None]) -> Iterator[Recorder]:
    record = Recorder(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self._body()
            record.asked.append((self.command, self.path, dict(self.headers), body))
            status, content = record.answer(self.command, self.path) or (404, b"{}")
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def __getattr__(self, name: str) -> Any:
            if name.startswith("do_"):
                return self.handle_any
            raise AttributeError(name)

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def log_message(self, *_: object) -> None:
            pass

    with serving(Handler) as record.url:
        yield record


@dataclass
class Dropper:
    """A proxy before a server that hangs up on every n-th request, unanswered."""

    endpoint: str = ""
    seen: int = 0
    dropped: int = 0


@contextmanager
def dropping(endpoint: str, every: int) -> Iterator[Dropper]:
    """Forward HTTP requests to ``endpoint``, one a connection; drop every n-th of them."""
    state, guard = Dropper(), threading.Lock()
    host, port = endpoint.removeprefix("http://").split(":")
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    state.endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"

    def handle(client: socket.socket) -> None:
        with guard:
            state.seen += 1
            drop = state.seen % every == 0
            state.dropped += drop
        if drop:
            client.close()
            return
        with (
            contextlib.suppress(OSError),  # either side may be gone
            client,
            socket.create_connection((host, int(port)), timeout=300) as upstream,
        ):
            forward(client, upstream)

    def forward(client: socket.socket, upstream: socket.socket) -> None:
        # the request goes on with "Connection: close", so that each one comes to `handle`
        head = b""
        while b"\r\n\r\n" not in head and (part := client.recv(65536)):
            head += part
        first, _, rest = head.partition(b"\r\n")
        upstream.sendall(first + b"\r\nConnection: close\r\n" + rest)
        pump = threading.Thread(target=copy, args=(client, upstream), daemon=True)
        pump.start()
        copy(upstream, client)

    def copy(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while part := source.recv(65536):
                sink.sendall(part)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=handle, args=(client,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield state
    finally:
        listener.close()

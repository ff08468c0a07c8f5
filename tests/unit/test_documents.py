"""What the door to documents of others lets through: so much, so deep, and nothing that is none."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import requests

from generator.channel.derived import SHARDS, derive
from generator.channel.repodata import Repodata
from generator.documents import limits, load_json, unpack_zstd
from generator.errors import MalformedError, UnsafeArchiveError
from generator.transport.session import read_body


def bomb(blocks: int) -> bytes:
    """A frame of zstd with blocks of 128 KiB that are one byte, repeated: four bytes each."""
    size = 128 << 10
    heads = [(size << 3 | 1 << 1 | (n == blocks - 1)).to_bytes(3, "little") for n in range(blocks)]
    return b"\x28\xb5\x2f\xfd\x00\x58" + b"".join(head + b"\0" for head in heads)


@pytest.mark.parametrize("text", ["1e999", "[-1e999]", '{"a": [{"timestamp": 1E400}]}'])
def test_a_number_that_no_float_can_be_is_refused(text):
    with pytest.raises(MalformedError, match="out of range"):
        load_json(text, "x")


def test_what_is_as_deep_as_the_limit_is_read_and_no_deeper():
    depth = limits().json.depth
    assert load_json("[" * depth + "]" * depth, "x")
    with pytest.raises(MalformedError, match="nested"):
        load_json("[" * (depth + 1) + "]" * (depth + 1), "x")


def test_values_are_counted_before_they_are_made():
    assert load_json("[{},{}]", "x")
    with pytest.raises(MalformedError, match="more than"):
        load_json(b"[" + b"0," * limits().json.values + b"0]", "x")


def test_what_unpacks_to_more_is_not_unpacked():
    assert len(unpack_zstd(bomb(3), 3 * (128 << 10), "x")) == 3 * (128 << 10)
    large = bomb(100_000)  # 13 GB
    tracemalloc.start()
    try:
        with pytest.raises(UnsafeArchiveError, match="unpacks to more"):
            unpack_zstd(large, 1 << 20, "x")
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("content", [b"", b"no zstd", bomb(1), bomb(100_000)])
def test_a_list_of_shards_that_is_none_is_made_anew(tmp_path: Path, content: bytes):
    text = b'{"info": {"subdir": "noarch"}, "packages": {}, "packages.conda": {}}'
    folder = tmp_path / "noarch"
    folder.mkdir()
    (folder / SHARDS).write_bytes(content)
    made = derive(folder, text, Repodata.parse(text, "x"), {"a-1-0.conda"})
    again = derive(folder, text, Repodata.parse(text, "x"), None)
    assert made == again


@contextmanager
def serving(body: bytes, encoding: str) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Encoding", encoding)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"


def test_an_answer_that_is_packed_is_unpacked_no_further_than_it_is_read():
    """400 kB that are 13 GB."""
    with serving(bomb(100_000), "zstd") as url:
        answer = requests.get(url, stream=True, timeout=30)
        tracemalloc.start()
        try:
            with pytest.raises(UnsafeArchiveError, match="the answer has more than"):
                read_body(answer, 1 << 20, url)
            assert tracemalloc.get_traced_memory()[1] < 64 << 20
        finally:
            tracemalloc.stop()

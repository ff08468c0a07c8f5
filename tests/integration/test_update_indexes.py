"""Indexes that answer well, badly, late or not at all."""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path

import pytest

from generator.errors import AbsentError, MalformedError, StorageError, UnreachableError
from generator.feedstock import IndexSource
from generator.transport import HttpPolicy
from generator.upstream import Index, Offer, PipConfiguration, Web, open_index
from tests.index_server import HTML, JSON, Behaviour, Failure, IndexServer
from tests.integration.updating import QUICK, opened, run_update
from tests.tiny_wheels import TinyWheel, tiny_torch

pytestmark = pytest.mark.integration

WHEEL = tiny_torch("2.10.0", "cp312")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    WHEEL.write(folder)
    return folder


def simple(server: IndexServer, web: Web) -> Index:
    return open_index(
        "pypi",
        IndexSource(kind="simple", url=server.url),
        web=web,
        pip=PipConfiguration(indexes=()),
        base=Path(),
    )


def ask(
    server: IndexServer, cache: Path, project: str = "torch", policy: HttpPolicy = QUICK
) -> tuple[Offer, ...]:
    with opened(cache, policy) as web:
        return simple(server, web).offers(project)


@pytest.mark.parametrize("as_json", [True, False])
def test_html_and_json_say_the_same(folder: Path, tmp_path: Path, as_json: bool) -> None:
    behaviour = Behaviour(
        json=as_json,
        metadata=True,
        yanked={WHEEL.filename: "bad"},
        requires_python={WHEEL.filename: ">=3.10,<4"},
    )
    with IndexServer(folder, behaviour) as server:
        (offer,) = ask(server, tmp_path)
    assert (offer.filename, offer.yanked, offer.requires_python) == (
        WHEEL.filename,
        "bad",
        ">=3.10,<4",
    )
    assert offer.sha256 is not None
    assert len(offer.sha256) == 64
    assert offer.metadata_sha256 is not None
    assert offer.size == ((folder / WHEEL.filename).stat().st_size if as_json else None)


def test_the_second_look_costs_no_body(folder: Path, tmp_path: Path) -> None:
    with IndexServer(folder) as server:
        first = ask(server, tmp_path)
        server.forget()
        with opened(tmp_path) as web:
            assert simple(server, web).offers("torch") == first
            assert web.traffic.bytes == 0
        assert server.log == [("/simple/torch/", 304)]
        assert server.bytes.total() == 0
        TinyWheel(project="torch", version="2.11.0", tag=WHEEL.tag).write(folder)
        assert len(ask(server, tmp_path)) == 2  # what changed is seen at once


def test_one_run_asks_once(folder: Path, tmp_path: Path) -> None:
    with IndexServer(folder) as server, opened(tmp_path) as web:
        index = simple(server, web)
        assert index.offers("torch") is index.offers("torch")
        assert server.requests.total() == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_passes_is_waited_for(folder: Path, tmp_path: Path, status: int) -> None:
    with IndexServer(folder, Behaviour(failures=deque([Failure(status)] * 2))) as server:
        assert len(ask(server, tmp_path)) == 1
        assert [code for _, code in server.log] == [status, status, 200]


def test_retry_after_is_honoured(folder: Path, tmp_path: Path) -> None:
    with IndexServer(folder, Behaviour(failures=deque([Failure(429, "1")]))) as server:
        start = time.monotonic()
        assert len(ask(server, tmp_path)) == 1
        assert time.monotonic() - start >= 1


def test_a_retry_after_of_hours_is_not_waited_for(folder: Path, tmp_path: Path) -> None:
    failures = deque([Failure(503, "86400")] * 9)
    with IndexServer(folder, Behaviour(failures=failures)) as server:
        start = time.monotonic()
        with pytest.raises(UnreachableError):
            ask(server, tmp_path)
        assert time.monotonic() - start < 300


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_does_not_pass_is_unreachable(folder: Path, tmp_path: Path, status: int) -> None:
    with IndexServer(folder, Behaviour(failures=deque([Failure(status)] * 9))) as server:
        with pytest.raises(UnreachableError, match=str(status)) as caught:
            ask(server, tmp_path)
        assert len(server.log) == 1 + QUICK.retries
    assert caught.value.exit_code == 11
    assert caught.value.where.endswith("/simple/torch/")
    assert caught.value.next_step


@pytest.mark.parametrize("status", [401, 403])
def test_denied_is_not_absent(folder: Path, tmp_path: Path, status: int) -> None:
    with (
        IndexServer(folder, Behaviour(failures=deque([Failure(status)]))) as server,
        pytest.raises(UnreachableError, match="wants to know who asks"),
    ):
        ask(server, tmp_path)


def test_nobody_listens(folder: Path, tmp_path: Path) -> None:
    server = IndexServer(folder)
    server.server_close()
    with pytest.raises(UnreachableError, match="refused"):
        ask(server, tmp_path)


def test_a_project_that_is_not_there_is_absent(folder: Path, tmp_path: Path) -> None:
    with IndexServer(folder) as server:
        with pytest.raises(AbsentError, match="no wheels of torchvision") as caught:
            ask(server, tmp_path, "torchvision")
        assert len(server.log) == 1  # a fact is not asked for again
    assert caught.value.exit_code == 10


def test_a_login_page_is_malformed(folder: Path, tmp_path: Path) -> None:
    with (
        IndexServer(folder, Behaviour(login_page=True)) as server,
        pytest.raises(MalformedError, match="not an index page") as caught,
    ):
        ask(server, tmp_path)
    assert caught.value.exit_code == 12
    assert "browser" in caught.value.next_step


def test_a_page_that_breaks_off_is_unreachable_not_shorter(folder: Path, tmp_path: Path) -> None:
    with (
        IndexServer(folder, Behaviour(json=False, truncate=9)) as server,
        pytest.raises(UnreachableError),
    ):
        ask(server, tmp_path)


def test_credentials_do_not_show(folder: Path, tmp_path: Path) -> None:
    server = IndexServer(folder)
    server.server_close()
    url = f"http://user:secret@{server.host}/simple/"
    with opened(tmp_path) as web, pytest.raises(UnreachableError) as caught:
        open_index(
            "pypi",
            IndexSource(kind="simple", url=url),
            web=web,
            pip=PipConfiguration(indexes=()),
            base=Path(),
        ).offers("torch")
    assert "secret" not in str(caught.value)
    assert server.host in caught.value.where


def test_credentials_do_not_show_in_what_a_server_says_of_itself(tmp_path: Path) -> None:
    folder = tmp_path / "w"
    WHEEL.write(folder)
    behaviour = Behaviour(page=("application/pdf", b"%PDF"))
    with (
        IndexServer(folder, behaviour) as server,
        opened(tmp_path) as web,
        pytest.raises(MalformedError, match="application/pdf") as caught,
    ):
        open_index(
            "pypi",
            IndexSource(kind="simple", url=f"http://user:secret@{server.host}/simple/"),
            web=web,
            pip=PipConfiguration(indexes=()),
            base=Path(),
        ).offers("torch")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "page",
    [
        (JSON, b"{"),
        (JSON, b"[]"),
        (JSON, b'{"name": "torch"}'),
        (JSON, b"\xff"),
        (JSON, b'{"meta": {"api-version": "9.0"}, "name": "torch", "files": []}'),
        (HTML, b""),
        (HTML, b"\x00\xff"),
        (HTML, b"<html>hello</html>"),
        (HTML, b'<meta name="pypi:repository-version" content="9.0">'),
    ],
)
def test_what_is_no_index_page_is_malformed(
    folder: Path, tmp_path: Path, page: tuple[str, bytes]
) -> None:
    with IndexServer(folder, Behaviour(page=page)) as server, pytest.raises(MalformedError):
        ask(server, tmp_path)


@pytest.mark.parametrize(
    "page",
    [
        (JSON, b'{"meta": {"api-version": "1.0"}, "name": "torch", "files": []}'),
        (HTML, b'<meta name="pypi:repository-version" content="1.0">'),
    ],
)
def test_an_index_page_without_files_is_absent(
    folder: Path, tmp_path: Path, page: tuple[str, bytes]
) -> None:
    with IndexServer(folder, Behaviour(page=page)) as server, pytest.raises(AbsentError):
        ask(server, tmp_path)


def test_a_cache_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "http").write_text("a file where a folder should be")
    with pytest.raises(StorageError), opened(tmp_path):
        pass


def test_pips_extra_index_serves_what_the_main_one_lacks(folder: Path, tmp_path: Path) -> None:
    extra = tmp_path / "extra"
    TinyWheel(project="torchvision", version="0.25.0", tag=WHEEL.tag).write(extra / "torchvision")
    with IndexServer(folder) as server, opened(tmp_path) as web:
        index = open_index(
            "pypi",
            IndexSource(kind="pip"),
            web=web,
            base=Path(),
            pip=PipConfiguration(indexes=(server.url, extra.as_uri())),
        )
        assert len(index.offers("torch")) == 1
        (found,) = index.offers("torchvision")
        assert found.url.startswith("file:")
        server.stop()
        again = open_index(
            "pypi",
            IndexSource(kind="pip"),
            web=web,
            base=Path(),
            pip=PipConfiguration(indexes=(server.url, extra.as_uri())),
        )
        with pytest.raises(UnreachableError):
            again.offers("torchvision")  # silence of the main index is not "not there"


@pytest.mark.parametrize("with_page", [True, False])
def test_a_folder_is_an_index(folder: Path, tmp_path: Path, with_page: bool) -> None:
    if with_page:
        page = f'<html><a href="{WHEEL.filename}">{WHEEL.filename}</a></html>'
        (folder / "index.html").write_text(page)
    with opened(tmp_path) as web:
        index = open_index(
            "here",
            IndexSource(kind="folder", url="wheels"),
            web=web,
            pip=PipConfiguration(indexes=()),
            base=tmp_path,
        )
        (offer,) = index.offers("torch")
        assert offer.hash_computed
        assert offer.sha256 is not None
        with pytest.raises(AbsentError):
            index.offers("torchvision")
        nowhere = open_index(
            "gone",
            IndexSource(kind="folder", url="nowhere"),
            web=web,
            pip=PipConfiguration(indexes=()),
            base=tmp_path,
        )
        # a share that is not mounted
        with pytest.raises(UnreachableError, match="no such folder"):
            nowhere.offers("torch")


@pytest.mark.parametrize("sha256", ["../../../../outside", "abc", "g" * 64])
@pytest.mark.parametrize("as_json", [True, False])
def test_a_sha256_that_is_none_names_no_file(
    folder: Path, tmp_path: Path, sha256: str, as_json: bool
) -> None:
    behaviour = Behaviour(json=as_json, wrong_hashes={WHEEL.filename: sha256})
    with IndexServer(folder, behaviour) as server:
        (offer,) = ask(server, tmp_path)
        outcome = run_update(server, tmp_path / "cache")
    assert offer.sha256 is None
    assert "is none" in offer.refused
    assert outcome.lock.cells == ()
    assert not list(tmp_path.rglob("outside*"))


def test_a_server_does_not_choose_files_of_this_machine(folder: Path, tmp_path: Path) -> None:
    link = f'<a href="{(folder / WHEEL.filename).as_uri()}">{WHEEL.filename}</a>'
    with IndexServer(folder, Behaviour(page=(HTML, link.encode()))) as server:
        (offer,) = ask(server, tmp_path)
    assert "file: URL" in offer.refused


def test_json_without_end_is_no_index_page(folder: Path, tmp_path: Path) -> None:
    with (
        IndexServer(folder, Behaviour(page=(JSON, b"[" * 100_000))) as server,
        pytest.raises(MalformedError, match="not an index page"),
    ):
        ask(server, tmp_path)


@pytest.mark.parametrize("said", ["banana", "-5"])
def test_a_retry_after_that_makes_no_sense_is_unreachable(
    folder: Path, tmp_path: Path, said: str
) -> None:
    behaviour = Behaviour(failures=deque([Failure(503, retry_after=said)] * 9))
    with (
        IndexServer(folder, behaviour) as server,
        pytest.raises(UnreachableError, match="HTTP 503"),
    ):
        ask(server, tmp_path)

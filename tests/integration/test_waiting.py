"""No server keeps a command waiting: whatever it does, there is an error of ours, and soon."""

from __future__ import annotations

import hashlib
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from generator.building import fetch
from generator.building.policy import FetchPolicy
from generator.channel import LocalChannel
from generator.channel.destinations import parse_destination
from generator.channel.hosted import HostedTarget
from generator.channel.retrying import Retries
from generator.channel.s3 import S3Store
from generator.channel.s3_access import S3Access
from generator.channel.stores import Outgoing
from generator.console import Silent
from generator.datafiles import subdirs
from generator.documents import limits
from generator.errors import ArmtorchError, IntegrityError, UnreachableError
from generator.explaining.channels import Access, Channels
from generator.model import Wheel
from generator.provider.github import GitHub
from generator.stages.update import update_lock
from generator.testing import ChannelSolver, Machine
from generator.transport import HttpPolicy, forget_hosts, open_session
from generator.transport.gateway import open_gateway
from generator.upstream.offers import parse_offer
from generator.upstream.page_store import PageStore
from tests.command_line import armtorch
from tests.counts import count
from tests.index_server import IndexServer
from tests.integration.synthetic import open_project
from tests.integration.updating import opened, reader_of
from tests.tarpit import TRAPS, tarpit
from tests.tiny_wheels import tiny_torch

pytestmark = pytest.mark.integration

#: seconds: a test's patience
IDLE, ANSWER, HOST = 0.4, 1.2, 2.4
#: what a machine that is busy elsewhere adds; what does not end takes minutes
SLACK = 60.0


def chosen() -> list[str]:
    """Every trap in `make prove`, some of them, spread over all, in `make test`."""
    names = list(TRAPS)
    return names[:: max(1, len(names) // count("traps"))]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    known = limits()
    short = replace(
        known,
        wait=replace(
            known.wait,
            connect=ANSWER,
            idle=IDLE,
            answer=ANSWER,
            retries=2,
            backoff=0.05,
            longest_pause=IDLE,
            host=HOST,
            slowest=1 << 20,
            repodata=ANSWER,
            index=6 * ANSWER,
        ),
        page=replace(known.page, json=1 << 20, html=1 << 20),
        json=replace(known.json, bytes=1 << 20),
    )
    for place in (
        "transport.policy",
        "transport.gateway",
        "upstream.session",
        "channel.hosted",
        "channel.s3",
        "documents.json_text",
    ):
        monkeypatch.setattr(f"generator.{place}.limits", lambda: short)
    forget_hosts()
    yield
    forget_hosts()


@pytest.fixture(params=chosen(), ids=str)
def trap(request):
    with tarpit(TRAPS[request.param]) as url:
        yield url


def within(seconds: float, call, kind: type[ArmtorchError] = ArmtorchError) -> ArmtorchError:
    """Run ``call``, which has to fail with an error of ours in that time."""
    started = time.monotonic()
    with pytest.raises(kind) as caught:
        call()
    assert time.monotonic() - started < seconds + SLACK
    return caught.value


def test_update_says_that_the_index_does_not_answer(trap, tmp_path):
    class Server:
        url = f"{trap}/simple/"

    project = open_project(tmp_path, Server, "linux-aarch64")  # type: ignore[arg-type]
    started = time.monotonic()
    result = update_lock(project)
    assert time.monotonic() - started < 3 * ANSWER + HOST + SLACK
    assert result.findings
    assert not result.lock.cells


def test_a_wheel_is_given_up(trap, tmp_path):
    name = "torch-2.10.0-cp312-cp312-manylinux_2_28_aarch64.whl"
    offer = parse_offer(name, index="x", url=f"{trap}/{name}", sha256="0" * 64, size=9999)
    assert offer is not None
    with opened(tmp_path / "cache", _policy()) as web:
        within(HOST + ANSWER, lambda: reader_of(web, tmp_path / "cache").wheel(offer))


def test_a_download_is_given_up(trap, tmp_path):
    wheel = _wheel(tmp_path)
    rules = FetchPolicy(
        attempts=2, first_delay=0.05, longest_delay=0.1, longest_pause=IDLE, progress=1 << 20
    )
    within(
        HOST + 2 * ANSWER,
        lambda: fetch(
            [wheel],
            locate=lambda _: f"{trap}/{wheel.filename}",
            root=tmp_path / "wheelhouse",
            narrator=Silent(),
            jobs=1,
            rules=rules,
            connect=lambda: open_session(_policy(), files=True),
        ),
    )


def test_pins_end(trap):
    within(HOST + ANSWER, lambda: GitHub(url=trap).get("/repos/a/b"))


def test_the_records_of_a_host_end(trap):
    target = HostedTarget(
        address=parse_destination(f"quetz+{trap}/me"),
        subdirs=("linux-aarch64", "noarch"),
        environment={},
    )
    within(HOST + 2 * ANSWER, target.records)


def test_the_packages_of_a_bucket_end(trap):
    within(9 * ANSWER, bucket(trap).packages)


def test_a_file_of_a_bucket_ends(trap):
    def change() -> None:
        bucket(trap).change("noarch/repodata.json", lambda _: b"{}")
        raise IntegrityError("a server that says yes to everything, the write as well")

    within(9 * ANSWER, change)


def test_a_package_that_is_read_from_a_bucket_ends(trap):
    def read() -> None:
        with bucket(trap).open("noarch/x.conda") as file:
            found = file.read()
        raise IntegrityError(f"{len(found)} bytes, which are not the package's")  # as its callers

    within(9 * ANSWER, read)


def test_the_index_of_a_bucket_ends(trap):
    def index() -> None:
        bucket(trap).index(None)
        raise IntegrityError(
            "an index of nothing"
        )  # some traps answer what reads as an empty bucket

    within(9 * ANSWER, index)


def test_solving_on_a_base_ends(trap):
    machine = Machine.of(subdirs()["linux-aarch64"], native=False)
    prober = ChannelSolver(channels=(f"{trap}/base",), machine=machine, gateway=open_gateway())
    within(3 * ANSWER, lambda: prober.solvable(["python"]), UnreachableError)


def test_explain_says_how_a_channel_failed(trap, tmp_path):
    started = time.monotonic()
    channels = Channels(Access(cache=tmp_path, timeout=1))
    (source,) = channels.open([f"{trap}/base"], "linux-aarch64")
    assert not source.usable
    assert time.monotonic() - started < HOST + 4 * ANSWER + SLACK


@pytest.mark.parametrize("name", ["silence", "a drip of headers"])
def test_an_upload_to_a_bucket_ends(name, forged_package):
    with tarpit(TRAPS[name]) as url:
        within(
            9 * ANSWER,
            lambda: bucket(url).put(forged_package, replace=False, advance=lambda _: None),
            UnreachableError,
        )


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("silence", UnreachableError),
        ("a drip of headers", UnreachableError),
        # the status has come, and rattler-build waits for no more than that
        ("silence after the headers", None),
    ],
)
def test_an_upload_to_a_host_ends(name, kind, forged_package):
    with tarpit(TRAPS[name]) as url:
        target = HostedTarget(
            address=parse_destination(f"quetz+{url}/me"),
            subdirs=("noarch",),
            environment={"QUETZ_API_KEY": "x"},
        )
        started = time.monotonic()
        with pytest.raises(kind) if kind else suppress(UnreachableError):
            Retries(times=5, first_pause=0.05).run(
                lambda: target.put(forged_package, replace=False, advance=lambda _: None),
                lambda _: None,
            )
        # the process in which rattler-build uploads takes some seconds to start
        assert time.monotonic() - started < HOST + 2 * ANSWER + 30 + SLACK


def test_a_host_that_cost_too_much_is_not_asked_again():
    with tarpit(TRAPS["silence"]) as url:
        hub = GitHub(url=url)
        started = time.monotonic()
        errors = [within(HOST + ANSWER, lambda: hub.get("/repos/a/b")) for _ in range(30)]
        assert time.monotonic() - started < HOST + 2 * ANSWER + SLACK
    assert "is not asked again" in errors[-1].what


def test_a_page_is_believed_only_when_the_server_says_that_it_is_still_that(tmp_path):
    tiny_torch("2.10.0", "cp312").write(tmp_path / "index")
    with IndexServer(tmp_path / "index") as server, opened(tmp_path, _policy()) as web:
        url = f"{server.url}torch/"
        page = web.page(url)
        assert web.page(url).content == page.content
        assert [status for _, status in server.log] == [200, 304]
        # whoever writes into the cache does not know what the server will say
        store = PageStore(tmp_path / "http")
        store.keep(url, replace(page, content=b"poison", etag='"other"'))
        assert web.page(url).content == page.content
        # what was flipped on disk is as if it were not there
        file = next(path for path in (tmp_path / "http").rglob("*") if path.is_file())
        content = bytearray(file.read_bytes())
        content[-3] ^= 1
        file.write_bytes(bytes(content))
        server.forget()
        assert web.page(url).content == page.content
        assert [status for _, status in server.log] == [200]


def test_flipped_facts_are_read_again(tmp_path):
    wheel = tiny_torch("2.10.0", "cp312").write(tmp_path / "index")
    with IndexServer(tmp_path / "index") as server, opened(tmp_path, _policy()) as web:
        reader = reader_of(web, tmp_path)
        offer = parse_offer(
            wheel.name,
            index="x",
            url=f"{server.root}/files/{wheel.name}",
            sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
            size=wheel.stat().st_size,
        )
        assert offer is not None
        facts = reader.wheel(offer)
        for file in [path for path in (tmp_path / "facts").rglob("*") if path.is_file()]:
            kept = file.read_bytes()
            for at in range(0, len(kept), max(1, len(kept) // 16)):
                file.write_bytes(kept[:at] + bytes([kept[at] ^ 4]) + kept[at + 1 :])
                assert reader.wheel(offer) == facts
                assert reader.members(offer)
            file.write_bytes(kept)


def test_a_note_of_a_verified_wheel_that_is_no_note_is_none(tmp_path):
    wheel = _wheel(tmp_path)
    source = tmp_path / "index" / wheel.filename
    for note in (b"[" * 100_000, b"\xff", b"null", b"[]", b"{" * 9, b"1" * 99_999):
        place = fetch(
            [wheel], locate=lambda _: str(source), root=tmp_path / "w", narrator=Silent(), jobs=1
        )[wheel.sha256]
        Path(f"{place}.verified").write_bytes(note)
    assert place.read_bytes() == source.read_bytes()


def bucket(url: str) -> S3Store:
    access = S3Access(endpoint=url, region="x", access_key_id="x", secret_access_key=url)
    return S3Store("me", "channel", access)


def _policy():
    return HttpPolicy()


def _wheel(folder: Path):
    path = tiny_torch("2.10.0", "cp312").write(folder / "index")
    return Wheel(
        project="torch",
        version="2.10.0",
        filename=path.name,
        purl=f"pkg:pypi/torch@2.10.0?file_name={path.name}",
        size=path.stat().st_size,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        index="pypi",
        python=None,
        platforms=("manylinux_2_28_aarch64",),
        metadata="0" * 64,
        metadata_origin="range",
        record="0" * 64,
    )


@pytest.fixture
def forged_package(feedstock_copy) -> Outgoing:
    """Any package that was built."""
    assert armtorch("build", "metapackages/cpuonly/*", cwd=feedstock_copy).returncode == 0
    channel = LocalChannel(feedstock_copy / "channel")
    (record,) = channel.records("noarch")
    return Outgoing(path=channel.root / "noarch" / record.file_name, record=record)

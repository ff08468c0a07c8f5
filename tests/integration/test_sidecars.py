"""Attestations beside packages (CEP 50): written to folders and buckets, and verified from there.

Only Sigstore can sign. ARMTORCH_ATTESTED names what prefix.dev serves beside actionlint 1.7.12 of
its channel github-releases for osx-arm64, really signed in March 2026: signature, log entry and
certificate are then verified with the copy of Sigstore's keys that rattler comes with.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import http.server
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from generator.channel import LocalChannel
from generator.channel.attesting import SUFFIX
from generator.commands import cli
from generator.errors import (
    AbsentError,
    IntegrityError,
    MalformedError,
    RefutedError,
    SelectionError,
    UnprovableError,
    UnreachableError,
)
from generator.testing import write_record_channel
from tests import servers
from tests.integration.test_publish_attested import bundle, statement, write_bundles
from tests.own_feedstock import DECLARED
from tests.published import (
    SUBDIR,
    Read,
    assert_consistent,
    folder_reader,
    make_packages,
    s3_reader,
    shards,
)

pytestmark = pytest.mark.integration
ALPHA = f"{SUBDIR}/alpha-1.0-0.conda"
CHANNEL = "https://conda.example.org/torch"
ATTESTED = os.environ.get("ARMTORCH_ATTESTED", "")
#: in its place a bundle that nobody signed, which is good for what is refused before its signature
UNSIGNED = {
    "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
    "verificationMaterial": {"certificate": {"rawBytes": ""}, "tlogEntries": []},
    "dsseEnvelope": {"payload": "eyJzdWJqZWN0IjpbeyJkaWdlc3QiOnt9fV19", "signatures": []},
}
REAL = Path(ATTESTED).read_bytes() if ATTESTED else json.dumps([UNSIGNED]).encode()
signed = pytest.mark.skipif(not ATTESTED, reason="ARMTORCH_ATTESTED names no attestation")
NAME, SIGNER = "actionlint-1.7.12-h60d57d3_0.conda", "https://github.com/hunger/octoconda/"
RECORD = {
    "name": "actionlint",
    "version": "1.7.12",
    "build": "h60d57d3_0",
    "build_number": 0,
    "subdir": "osx-arm64",
    "size": 1,
    "sha256": "e3e0f35dec5b09b18baac8729d14115903b5adfd25065f8bbb90a2b3be5401e4",
}


def run(folder: Path, *command: str | Path, environment: dict[str, str] | None = None) -> Result:
    feedstock = folder / "feedstock.yaml"
    feedstock.write_text(DECLARED.read_text().replace("channel: armtorch", f"channel: {CHANNEL}"))
    return CliRunner(env=environment).invoke(
        cli, ["--feedstock", str(feedstock), *map(str, command)], standalone_mode=False
    )


@pytest.fixture(scope="module")
def bucket() -> Iterator[servers.Bucket]:
    with servers.s3() as found:
        yield found


@pytest.fixture(params=["folder", "s3"])
def place(request, tmp_path) -> tuple[str, Read, dict[str, str]]:
    """A destination, what reads it, and its variables."""
    if request.param == "folder":
        return str(tmp_path / "served"), folder_reader(tmp_path / "served"), {}
    bucket, prefix = request.getfixturevalue("bucket"), tmp_path.name
    return f"s3://bucket/{prefix}", s3_reader(bucket.operator(prefix)), bucket.environment


@pytest.fixture
def source(tmp_path: Path) -> LocalChannel:
    channel = LocalChannel(tmp_path / "source" / "channel")
    make_packages(channel, ["alpha", "beta"])
    return channel


@pytest.fixture
def publish(place, source, tmp_path) -> Callable[..., Result]:
    to, _, environment = place
    if "://" not in to:
        Path(to).mkdir()
    return lambda *words: run(
        tmp_path, "publish", "--from", source.root, "--to", to, *words, environment=environment
    )


def advertised(read: Read) -> str | None:
    """The digest that every form of the index has of alpha's sidecar, which both addresses give."""
    rows = json.loads(read(f"{SUBDIR}/repodata.json") or b"")["packages.conda"]
    digest: str | None = rows["alpha-1.0-0.conda"].get("attestations_sha256")
    assert all("attestations_sha256" not in row for key, row in rows.items() if "gamma" in key)
    shard = shards(read, SUBDIR)["alpha-1.0-0.conda"].get("attestations_sha256")
    assert (shard.hex() if shard else None) == digest
    if digest is not None:
        sidecar = read(f"{ALPHA}.sigs") or b""
        assert hashlib.sha256(sidecar).hexdigest() == digest
        assert read(f"{ALPHA}.sigs.{digest}") == sidecar
    return digest


def test_sidecars_are_there_before_the_index_names_them_and_only_get_longer(
    place, publish, source, tmp_path
):
    _, read, _ = place
    texts = write_bundles(tmp_path / "one", source, CHANNEL)
    assert publish(f"--attestations={tmp_path / 'one'}").exception is None
    first = advertised(read)
    assert json.loads(read(f"{ALPHA}.sigs")) == [json.loads(texts["alpha"])]
    assert_consistent(read)
    assert publish(f"--attestations={tmp_path / 'one'}").exception is None
    assert advertised(read) == first
    # a review of later says more of the same package; what was there stays as it was, byte for byte
    (tmp_path / "two").mkdir()
    more = bundle(statement(source, "alpha", CHANNEL), signatures=[{"sig": "bW9yZQ=="}])
    (tmp_path / "two" / f"alpha-1.0-0.conda{SUFFIX}").write_text(f"\n{more}\n")
    assert publish(f"--attestations={tmp_path / 'two'}").exception is None
    second = advertised(read)
    assert second != first
    assert read(f"{ALPHA}.sigs") == f"[{texts['alpha']},{more}]".encode()
    assert read(f"{ALPHA}.sigs.{first}") == f"[{texts['alpha']}]".encode()
    # other packages of later go without, and a yank and what is indexed anew keep the field
    make_packages(source, ["gamma"])
    assert publish().exception is None
    assert advertised(read) == second


def test_a_package_that_is_replaced_or_goes_takes_its_attestations_along(
    place, publish, source, tmp_path
):
    to, read, environment = place
    write_bundles(tmp_path / "one", source, CHANNEL)
    assert publish(f"--attestations={tmp_path / 'one'}").exception is None
    digest = advertised(read)
    make_packages(source, ["alpha"], seed=1)
    assert publish("--force").exception is None
    assert advertised(read) is None
    assert read(f"{ALPHA}.sigs") is read(f"{ALPHA}.sigs.{digest}") is None
    assert_consistent(read)
    yanked = run(
        tmp_path, "yank", f"{SUBDIR}/beta-1.0-0.conda", "--reason", "breaks on boards",
        "--to", to, environment=environment,
    )  # fmt: skip
    assert yanked.exception is None
    rows = json.loads(read(f"{SUBDIR}/repodata_from_packages.json"))["packages.conda"]
    assert "attestations_sha256" in rows["beta-1.0-0.conda"]


def test_an_index_that_is_edited_has_what_one_made_anew_has(source, tmp_path):
    served = tmp_path / "served"
    served.mkdir()
    write_bundles(tmp_path / "one", source, CHANNEL)
    to = ("publish", "--from", source.root, "--to", served)
    assert run(tmp_path, *to).exception is None
    done = run(tmp_path, *to, f"--attestations={tmp_path / 'one'}")
    assert done.exception is None
    assert "indexed all of it" not in done.output

    def rows() -> Any:
        found = json.loads((served / SUBDIR / "repodata.json").read_text())["packages.conda"]
        return [
            {key: value for key, value in row.items() if key != "indexed_timestamp"}
            for row in found.values()
        ]

    before = rows()
    assert all("attestations_sha256" in row for row in before)
    for path in served.glob("*/repodata*"):
        path.unlink()
    LocalChannel(served).index()
    assert rows() == before
    (served / f"{ALPHA}.sigs").unlink()
    LocalChannel(served).index()
    assert advertised(folder_reader(served)) is None


@pytest.mark.parametrize(
    ("make", "kind", "said"),
    [
        (None, AbsentError, "no attestation"),
        (lambda said: {**said, "subject": said["subject"] * 2}, IntegrityError, "that alone"),
        (
            lambda said: {**said, "predicate": {"targetChannel": "https://prefix.dev/other"}},
            IntegrityError,
            f"not file:.* or {CHANNEL}",
        ),
    ],
)
def test_a_bundle_about_something_else_leaves_the_channel_alone(source, tmp_path, make, kind, said):
    (tmp_path / "served").mkdir()
    write_bundles(tmp_path / "one", source, CHANNEL)
    path = tmp_path / "one" / f"alpha-1.0-0.conda{SUFFIX}"
    path.unlink()
    if make is not None:
        path.write_text(bundle(make(statement(source, "alpha", CHANNEL))))
    where = ("--from", source.root, "--to", tmp_path / "served")
    done = run(tmp_path, "publish", *where, f"--attestations={tmp_path / 'one'}")
    assert isinstance(done.exception, kind)
    assert re.search(said, str(done.exception))
    assert not list((tmp_path / "served").iterdir())


def test_a_folder_takes_bundles_that_were_made_before_alone(source, tmp_path):
    (tmp_path / "served").mkdir()
    where = ("publish", "--from", source.root, "--to", tmp_path / "served")
    done = run(tmp_path, *where, "--attest=always")
    assert isinstance(done.exception, SelectionError)
    assert "--attestations" in str(done.exception)
    done = run(tmp_path, *where, "--attest=possible")
    assert done.exception is None
    assert "published without attestations" in done.output


def test_a_sidecar_there_that_is_none_is_not_written_over(source, tmp_path):
    (tmp_path / "served" / SUBDIR).mkdir(parents=True)
    (tmp_path / "served" / f"{ALPHA}.sigs").write_text("{}")
    write_bundles(tmp_path / "one", source, CHANNEL)
    done = run(
        tmp_path, "publish", "--from", source.root, "--to", tmp_path / "served",
        f"--attestations={tmp_path / 'one'}",
    )  # fmt: skip
    assert isinstance(done.exception, MalformedError)
    assert "not a JSON array" in str(done.exception)


# what a client sees


def write_channel(
    folder: Path, content: bytes | None = REAL, digest: str | None = "", **changed: object
) -> Path:
    """A channel of one package's record, and its sidecar; ``digest`` None: it names none."""
    name = hashlib.sha256(content or b"").hexdigest() if digest == "" else digest
    field = {} if name is None else {"attestations_sha256": name}
    write_record_channel([(NAME, {**RECORD, **field, **changed})], folder)
    if content is not None:
        path = f"{NAME}.sigs.{hashlib.sha256(REAL).hexdigest() if digest else name}"
        (folder / "osx-arm64" / path).write_bytes(content)
    return folder


def verify(folder: Path, channel: object, *words: str) -> Result:
    return run(folder, "verify", "--channel", str(channel), "--trusted-root=embedded", *words)


@signed
def test_a_real_attestation_is_verified_offline(tmp_path):
    channel = write_channel(tmp_path / "channel")
    done = verify(tmp_path, channel, f"--identity={SIGNER}*", "--json")
    assert done.exception is None, done.output
    (row,) = json.loads(done.stdout)
    assert (row["package"], row["verdict"]) == (f"osx-arm64/{NAME}", "attested")
    assert row["identity"].startswith(SIGNER)
    assert row["issuer"] == "https://token.actions.githubusercontent.com"
    assert "targets channel https://prefix.dev/github-releases" in "".join(row["notes"])
    assert f"by {SIGNER}" in verify(tmp_path, channel).stdout


@signed
def test_a_channel_that_it_is_not_for_serves_it_in_vain(tmp_path):
    write_channel(tmp_path / "channel")
    handler = functools.partial(_Quiet, directory=tmp_path / "channel")
    with servers.serving(handler) as url:
        done = verify(tmp_path, url)
    assert isinstance(done.exception, RefutedError)
    assert "targets channel https://prefix.dev/github-releases" in done.stdout


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        return


def changed(**envelope: Callable[[str], str]) -> bytes:
    """The real sidecar with fields of its signed envelope changed."""
    found = json.loads(REAL)
    for key, change in envelope.items():
        found[0]["dsseEnvelope"][key] = change(found[0]["dsseEnvelope"][key])
    return json.dumps(found).encode()


def other_subject(payload: str) -> str:
    said = json.loads(base64.b64decode(payload))
    said["subject"][0]["digest"]["sha256"] = "0" * 64
    return base64.b64encode(json.dumps(said).encode()).decode()


def without(*path: str) -> bytes:
    found = json.loads(REAL)
    inner = found[0]
    for key in path[:-1]:
        inner = inner[key]
    inner.pop(path[-1])
    return json.dumps(found).encode()


SAID = hashlib.sha256(REAL).hexdigest()


@pytest.mark.parametrize(
    ("channel", "said"),
    [
        ({"content": None, "digest": SAID}, "failed to read local attestation sidecar"),
        ({"content": REAL.replace(b"bundle.v0.3", b"bundle.v0.9")}, "malformed"),
        ({"content": REAL + b" ", "digest": SAID}, "does not match the advertised hash"),
        ({"content": REAL[:-2]}, "malformed"),
        ({"content": b"[]"}, "malformed"),
        ({"content": b'{"bundles": []}'}, "malformed"),
        ({"content": b"[" * 5000}, "malformed"),
        ({"content": b"[" + b" " * (5 << 20) + b"]"}, "maximum size"),
        pytest.param(
            {"content": changed(payload=other_subject)}, "invalid signature", marks=signed
        ),
        pytest.param(
            {"content": without("verificationMaterial", "tlogEntries")},
            "an inclusion proof",
            marks=signed,
        ),
        ({"content": without("verificationMaterial", "certificate")}, "malformed"),
        pytest.param({"sha256": "0" * 64}, "does not match any subject", marks=signed),
        pytest.param({"build": "h60d57d3_1"}, "the attestation subject is", marks=signed),
    ],
)
def test_what_is_not_this_packages_good_attestation_is_refuted(tmp_path, channel, said):
    folder = write_channel(tmp_path / "channel", **channel)
    if "build" in channel:  # another package takes the attestation for its own
        repodata = folder / "osx-arm64/repodata.json"
        repodata.write_text(repodata.read_text().replace("d3_0.conda", "d3_1.conda"))
        at = next(folder.glob("osx-arm64/*.sigs.*"))
        at.rename(at.with_name(at.name.replace("d3_0", "d3_1")))
    done = verify(tmp_path, folder, "--json")
    assert isinstance(done.exception, RefutedError), done.output
    (row,) = json.loads(done.stdout)
    assert row["verdict"] == "refuted"
    assert said in "".join(row["notes"])


@pytest.mark.parametrize("field", [SAID.upper(), SAID[:63], f"{SAID[:59]}/../", 7, ""])
def test_a_field_that_is_no_digest_makes_no_address(tmp_path, field):
    folder = write_channel(tmp_path / "channel")
    repodata = folder / "osx-arm64/repodata.json"
    repodata.write_text(repodata.read_text().replace(f'"{SAID}"', json.dumps(field)))
    done = verify(tmp_path, folder)
    assert isinstance(done.exception, IntegrityError)
    assert "attestations_sha256" in str(done.exception)


def test_who_signed_it_counts_and_so_does_that_nobody_did(tmp_path):
    folder = write_channel(tmp_path / "one")
    done = verify(tmp_path, folder, "--identity=https://github.com/somebody/*")
    assert isinstance(done.exception, RefutedError)
    done = verify(tmp_path, write_channel(tmp_path / "two", digest=None))
    assert isinstance(done.exception, UnprovableError)
    assert "not attested" in done.stdout


def test_what_cannot_be_asked_is_said_to_be_that(tmp_path):
    folder = write_channel(tmp_path / "channel")
    (tmp_path / "root.json").write_text("{}")
    (tmp_path / "empty").mkdir()
    for words, kind in (
        ((folder, f"--trusted-root={tmp_path / 'root.json'}"), MalformedError),
        ((folder, f"--trusted-root={tmp_path / 'none.json'}"), MalformedError),
        ((tmp_path / "empty",), AbsentError),
        ((f"http://127.0.0.1:{servers.free_port()}",), UnreachableError),
        (("armtorch",), UnreachableError),
    ):
        done = verify(tmp_path, *words)
        assert isinstance(done.exception, kind), (words, done.exception, done.output)


def test_records_of_other_kinds_are_not_passed_over(tmp_path):
    path = write_channel(tmp_path / "channel", digest=None) / "osx-arm64" / "repodata.json"
    for kind, rows in (("packages", {"evil-1-0.tar.bz2": {}}), ("v3", {"conda": {"evil": {}}})):
        path.write_text(json.dumps({"packages.conda": {}, kind: rows}))
        done = verify(tmp_path, path.parents[1])
        assert isinstance(done.exception, UnprovableError)
        assert f"repodata.json, {kind}" in done.stdout

"""Attestations as they go over the wire: a server that answers as GitHub's OIDC and prefix.dev do.

Signing itself needs sigstore's services and an identity that they believe, so it ends here where
rattler asks for that identity.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from generator.channel import LocalChannel
from generator.channel.attesting import PREDICATE, SUFFIX
from generator.commands import cli
from generator.errors import (
    AbsentError,
    DeclinedError,
    IntegrityError,
    MalformedError,
    SelectionError,
)
from tests import servers
from tests.own_feedstock import DECLARED
from tests.published import SUBDIR, make_packages

pytestmark = pytest.mark.integration
NAMES = ("alpha", "beta")


@pytest.fixture
def source(tmp_path: Path) -> LocalChannel:
    channel = LocalChannel(tmp_path / "source" / "channel")
    make_packages(channel, NAMES)
    return channel


@pytest.fixture
def host() -> Iterator[servers.Recorder]:
    """GitHub's endpoint for tokens, and prefix.dev's for publishers and packages."""

    def answer(method: str, path: str) -> tuple[int, bytes] | None:
        if path.startswith("/oidc"):
            return 200, b'{"value": "no-real-token"}'
        if path == "/api/oidc/mint_token":
            return 200, b"minted"
        return (201, b"{}") if method == "POST" else None

    with servers.recorder(answer) as server:
        yield server


def publish(
    source: LocalChannel, to: str, *arguments: str, oidc: str = "", key: str = ""
) -> Result:
    feedstock = source.root.parent / "feedstock.yaml"
    feedstock.write_text(DECLARED.read_text())
    environment: dict[str, str | None] = {
        "PREFIX_API_KEY": key,
        "GITHUB_ACTIONS": "true" if oidc else None,
        "ACTIONS_ID_TOKEN_REQUEST_URL": f"{oidc}/oidc?run=1" if oidc else None,
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "asking" if oidc else None,
    }
    command = ["publish", "--from", str(source.root), "--to", to, *arguments]
    return CliRunner(env=environment).invoke(
        cli, ["--feedstock", str(feedstock), *command], standalone_mode=False
    )


def bundle(statement: Any, **envelope: Any) -> str:
    payload = base64.b64encode(json.dumps(statement).encode()).decode()
    signed = {
        "payload": payload,
        "payloadType": "application/vnd.in-toto+json",
        "signatures": [{"sig": "c2ln", "keyid": ""}],
    }
    media = "application/vnd.dev.sigstore.bundle.v0.3+json"
    return json.dumps({"mediaType": media, "dsseEnvelope": {**signed, **envelope}})


def statement(source: LocalChannel, name: str, channel: str) -> dict[str, Any]:
    """What CEP 27 wants said of a package."""
    (record,) = [r for r in source.records(SUBDIR) if r.name == name]
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": f"{name}-1.0-0.conda", "digest": {"sha256": record.sha256}}],
        "predicateType": PREDICATE,
        "predicate": {"targetChannel": channel},
    }


def write_bundles(folder: Path, source: LocalChannel, channel: str) -> dict[str, str]:
    folder.mkdir()
    texts = {name: bundle(statement(source, name, channel)) for name in NAMES}
    for name, text in texts.items():
        (folder / f"{name}-1.0-0.conda{SUFFIX}").write_text(text)
    return texts


def test_each_package_goes_up_with_its_own_bundle(source, host, tmp_path):
    texts = write_bundles(tmp_path / "bundles", source, f"{host.url}/torch-nightly")
    done = publish(
        source,
        f"prefix+{host.url}/torch",
        "--label=nightly",
        f"--attestations={tmp_path / 'bundles'}",
        oidc=host.url,
    )
    assert done.exception is None, done.output
    posts = [row for row in host.asked if row[1] == "/api/v1/upload/torch-nightly"]
    assert len(posts) == len(NAMES)
    for method, _, headers, body in posts:
        # the token is what the host gave for the job's identity, and no stored key
        assert (method, headers["authorization"]) == ("POST", "Bearer minted")
        name = re.search(rb'filename="([a-z]+)-1\.0-0\.conda"', body)
        assert name is not None
        part = re.search(rb'name="attestation"\r\n\r\n(.*?)\r\n--', body, re.DOTALL)
        assert part is not None
        assert part[1].decode() == texts[name[1].decode()]
    audiences = {path for _, path, _, _ in host.asked if path.startswith("/oidc")}
    assert audiences == {"/oidc?run=1&audience=127.0.0.1"}


def test_signing_asks_for_the_jobs_identity_and_nothing_goes_up_without(source, host):
    done = publish(source, f"prefix+{host.url}/torch", "--attest=always", oidc=host.url)
    assert isinstance(done.exception, DeclinedError)
    assert "id-token: write" in str(done.exception)
    assert any("audience=sigstore" in path for _, path, _, _ in host.asked)
    assert not [path for _, path, _, _ in host.asked if "upload" in path]


@pytest.mark.parametrize(
    ("to", "key", "oidc", "said"),
    [
        ("prefix+{url}/torch", "", False, "no CI vouches for this job"),
        ("prefix+{url}/torch", "secret", True, "from trusted publishers only"),
        ("artifactory+{url}/torch", "", True, "takes no attestations"),
    ],
)
def test_where_it_cannot_be_attested_always_refuses_and_possible_says_so(
    source, host, to, key, oidc, said
):
    where = {"key": key, "oidc": host.url if oidc else ""}
    done = publish(source, to.format(url=host.url), "--attest=always", **where)
    assert isinstance(done.exception, SelectionError)
    assert said in str(done.exception)
    assert not [method for method, *_ in host.asked if method in {"POST", "PUT"}]
    done = publish(source, to.format(url=host.url), "--attest=possible", "--dry-run", **where)
    assert done.exception is None
    assert "published without attestations: " in done.output
    assert said in done.output


def other_file(said: dict[str, Any]) -> str:
    said["subject"][0]["digest"]["sha256"] = "0" * 64
    return bundle(said)


def two_files(said: dict[str, Any]) -> str:
    return bundle({**said, "subject": said["subject"] * 2})


def other_channel(said: dict[str, Any]) -> str:
    return bundle({**said, "predicate": {"targetChannel": "https://prefix.dev/other"}})


def provenance(said: dict[str, Any]) -> str:
    return bundle({**said, "predicateType": "https://slsa.dev/provenance/v1", "predicate": None})


@pytest.mark.parametrize(
    ("make", "kind", "said"),
    [
        (other_file, IntegrityError, "is not about alpha-1.0-0.conda"),
        (two_files, IntegrityError, "and that alone"),
        (other_channel, IntegrityError, "for the channel https://prefix.dev/other"),
        (provenance, IntegrityError, "not a publish attestation"),
        (lambda said: bundle(said, signatures=[]), MalformedError, "signatures"),
        (lambda said: bundle(said, payload="%"), MalformedError, "not a sigstore bundle"),
        (json.dumps, MalformedError, "dsseEnvelope"),
        (None, AbsentError, "no attestation"),
    ],
)
def test_a_bundle_about_something_else_stops_it_before_anything_goes_up(
    source: LocalChannel,
    host: servers.Recorder,
    tmp_path: Path,
    make: Callable[[dict[str, Any]], str] | None,
    kind: type[Exception],
    said: str,
) -> None:
    channel = f"{host.url}/torch"
    write_bundles(tmp_path / "bundles", source, channel)
    path = tmp_path / "bundles" / f"alpha-1.0-0.conda{SUFFIX}"
    if make is None:
        path.unlink()
    else:
        path.write_text(make(statement(source, "alpha", channel)))
    done = publish(
        source, f"prefix+{channel}", f"--attestations={tmp_path / 'bundles'}", oidc=host.url
    )
    assert isinstance(done.exception, kind)
    assert said in str(done.exception)
    assert not [method for method, *_ in host.asked if method == "POST"]

"""What attestations say of a channel's packages, as its clients see them (CEP 50, CEP 27).

rattler finds a sidecar by the record's digest, holds its bytes against that, and verifies
signatures, transparency log, subject and channel; here it is asked for each package.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import requests
from rattler import PackageRecord, RepoDataRecord
from rattler.exceptions import AttestationError
from rattler.sigstore import (
    ChannelCheck,
    Publisher,
    TrustedRoot,
    VerificationPolicy,
    verify_attestation,
)

from generator.channel.local import LocalChannel
from generator.channel.repodata import REPODATA, Record, Repodata
from generator.datafiles import subdirs
from generator.documents import limits
from generator.errors import (
    AbsentError,
    MalformedError,
    RefutedError,
    UnprovableError,
    UnreachableError,
)
from generator.rattler_names import BuildString
from generator.transport import open_session, read_body, typed
from generator.transport.gateway import open_client
from generator.urls import channel_url, local_path, public_url

#: packages that are asked about at once
_AT_ONCE: Final = 8
#: the copy of Sigstore's keys that rattler comes with
EMBEDDED: Final = "embedded"


_OTHERS: Final = "records of other files than .conda: no attestation was looked for"
#: rattler's words where a server did not answer, which says nothing of an attestation
_UNREACHED: Final = re.compile(
    "failed to (load the Sigstore trusted root|fetch attestation sidecar)"
)


@dataclass(frozen=True, kw_only=True)
class Attested:
    """One package, and what its attestation came to."""

    package: str
    verdict: Literal["attested", "refuted", "not attested"]
    #: who signed it: a workflow of a repository, for packages from a CI
    identity: str = ""
    issuer: str = ""
    notes: tuple[str, ...] = ()


def check_attestations(
    channel: str, *, identity: str = "", trusted_root: str = ""
) -> tuple[Attested, ...]:
    """Verify the attestation of every package that a channel's repodata has.

    ``identity`` is a glob over who may have signed, "" for anybody. ``trusted_root`` is a file with
    Sigstore's keys, or EMBEDDED; "" for those that Sigstore serves now. Of a folder, where it is
    served from is not known, so that another channel in the statement is a note.
    Raises AbsentError: there is no repodata. UnreachableError: the channel, or Sigstore's keys,
    cannot be had. IntegrityError: the repodata is not usable. MalformedError: no trusted root.
    """
    url = channel_url(channel).rstrip("/")
    found = list(_repodata(url))
    records = [record for each in found for record in each.records()]
    others = tuple(
        Attested(package=f"{each.where}, {kind}", verdict="not attested", notes=(_OTHERS,))
        for each in found
        for kind in each.others
    )
    if not records and not others:
        raise AbsentError(
            "it has no packages", where=public_url(url), next_step="name a channel's URL or folder"
        )
    policy = VerificationPolicy.require(
        Publisher(identity=identity or None),
        channel_check=ChannelCheck.REQUIRE if local_path(url) is None else ChannelCheck.WARN,
    )
    return (*asyncio.run(_verified(records, url, policy, _root(trusted_root))), *others)


def _repodata(url: str) -> Iterator[Repodata]:
    if (folder := local_path(url)) is not None:
        yield from LocalChannel(folder).repodata()
        return
    for name in (*subdirs(), "noarch"):
        place = f"{url}/{name}/{REPODATA}"
        with typed(place), open_session() as session:
            answer = session.get(place, stream=True)
            content = read_body(answer, limits().json.bytes, place)
        if answer.ok:
            yield Repodata.parse(content, f"{name}/{REPODATA}")
        elif answer.status_code != requests.codes.not_found:
            raise UnreachableError(
                f"it answered {answer.status_code}",
                where=public_url(place),
                next_step="try again later, or log in to it",
            )


def _root(named: str) -> TrustedRoot | None:
    if named in {"", EMBEDDED}:
        return TrustedRoot.embedded() if named else None
    try:
        return TrustedRoot.from_path(Path(named))
    except ValueError as error:
        raise MalformedError(
            f"no trusted root of Sigstore's: {error}",
            where=named,
            next_step=f"name a trusted_root.json, or {EMBEDDED}",
        ) from error


async def _verified(
    records: Sequence[Record], url: str, policy: VerificationPolicy, root: TrustedRoot | None
) -> list[Attested]:
    client, turns = open_client(), asyncio.Semaphore(_AT_ONCE)

    async def one(record: Record) -> Attested:
        if record.attestations_sha256 is None:
            return Attested(package=record.key, verdict="not attested")
        async with turns:
            try:
                outcome = await verify_attestation(_described(record, url), policy, client, root)
            except AttestationError as error:
                if _UNREACHED.match(str(error)):
                    raise UnreachableError(
                        str(error),
                        where=public_url(url),
                        next_step="try again later; without a way to Sigstore, take rattler's copy "
                        f"of its keys: --trusted-root {EMBEDDED}",
                    ) from error
                return Attested(package=record.key, verdict="refuted", notes=(str(error),))
        found = outcome.attestation
        assert found is not None  # noqa: S101 - the policy requires one
        return Attested(
            package=record.key,
            verdict="attested",
            identity=found.identity or "",
            issuer=found.issuer or "",
            notes=(*outcome.warnings, *found.warnings),
        )

    return await asyncio.gather(*map(one, records))


def _described(record: Record, url: str) -> RepoDataRecord:
    assert record.attestations_sha256 is not None  # noqa: S101 - only those are asked about
    described = PackageRecord(
        name=record.name,
        version=record.version,
        build=BuildString(record.build),
        build_number=record.build_number,
        subdir=record.subdir,
        arch=None,
        platform=None,
        sha256=bytes.fromhex(record.sha256),
        attestations_sha256=bytes.fromhex(record.attestations_sha256),
    )
    return RepoDataRecord(described, record.file_name, f"{url}/{record.key}", url)


def raise_for_attested(found: Sequence[Attested]) -> None:
    """Raise RefutedError where an attestation is not good, UnprovableError where there is none."""
    for verdict, kind, next_step in (
        ("refuted", RefutedError, "do not install it; ask who runs the channel"),
        ("not attested", UnprovableError, "publish it with --attestations (docs/publishing.md)"),
    ):
        if named := [each.package for each in found if each.verdict == verdict]:
            more = f" and {len(named) - 1} more" if len(named) > 1 else ""
            raise kind(f"{verdict}{more}", where=named[0], next_step=next_step)

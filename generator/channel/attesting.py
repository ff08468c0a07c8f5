"""Sigstore attestations that go up with packages, one for each (CEP 27).

A host that takes them is given a bundle: signed by whoever made the package, as a file, or by
rattler at the upload, with the identity that the CI gives its job. Signatures are for the host and
the clients to judge; here a bundle is held against what it has to say.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from generator.channel.destinations import Address
from generator.channel.stores import Outgoing
from generator.errors import AbsentError, IntegrityError, MalformedError, SelectionError

#: sign never, where the host takes it and the CI vouches for the job, or refuse to publish without
Attest = Literal["never", "possible", "always"]

#: what sigstore's own clients put behind the name of the file that a bundle is about
SUFFIX: Final = ".sigstore.json"
#: CEP 27
PREDICATE: Final = "https://schemas.conda.org/attestations-publish-1.schema.json"


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


class Subject(_Said):
    """What a statement is about."""

    name: str
    digest: dict[str, str]


class Predicate(_Said):
    """Where a package goes."""

    target_channel: str


class Statement(_Said):
    """The Statement v1 of in-toto, as CEP 27 takes it; its predicate may be left out."""

    type: Literal["https://in-toto.io/Statement/v1"] = Field(alias="_type")
    predicate_type: str
    subject: tuple[Subject, ...]
    predicate: Predicate | None = None


class _Envelope(_Said):
    payload: str
    payload_type: Literal["application/vnd.in-toto+json"]
    signatures: Annotated[tuple[dict[str, Any], ...], Field(min_length=1)]


class _Bundle(_Said):
    dsse_envelope: _Envelope


@dataclass(frozen=True, kw_only=True)
class Attesting:
    """How the packages of a publication get their attestations."""

    #: folder with ``<package>.conda.sigstore.json``; None: rattler signs at the upload
    bundles: Path | None = None

    def bundle(self, package: Outgoing) -> Path | None:
        """Return a package's bundle; None where it is signed at the upload."""
        return None if self.bundles is None else self.bundles / f"{package.path.name}{SUFFIX}"

    def check(self, package: Outgoing, *channels: str) -> None:
        """Hold a package's bundle against the package and the names of the channel it goes to.

        Raises AbsentError: there is none. MalformedError: it is no bundle with a statement.
        IntegrityError: it says something else than CEP 27 wants, is about another file, or for
        another channel.
        """
        if (path := self.bundle(package)) is None:
            return
        said, name = read_statement(path), package.path.name
        subject = Subject(name=name, digest={"sha256": package.record.sha256})
        target = said.predicate.target_channel if said.predicate is not None else channels[0]
        if said.predicate_type != PREDICATE:
            what = f"is a {said.predicate_type}, not a publish attestation"
        elif said.subject != (subject,):
            what = f"is not about {name} with sha256 {package.record.sha256}, and that alone"
        elif target not in channels:
            what = f"is for the channel {target}, not {' or '.join(channels)}"
        else:
            return
        raise IntegrityError(
            f"it {what}",
            where=str(path),
            next_step="attest the package as it is, for this channel",
        )


def read_statement(path: Path) -> Statement:
    """Return the statement in a sigstore bundle (a DSSE envelope in JSON).

    Raises AbsentError: the file is not there. MalformedError: it holds none.
    """
    try:
        envelope = _Bundle.model_validate_json(path.read_bytes()).dsse_envelope
        return Statement.model_validate_json(base64.b64decode(envelope.payload, validate=True))
    except FileNotFoundError as error:
        raise AbsentError(
            "a package has no attestation",
            where=str(path),
            next_step=f"name the bundle <package>.conda{SUFFIX}, or publish with --attest instead",
        ) from error
    except ValueError as error:  # pydantic's and base64's errors are such
        raise MalformedError(
            f"not a sigstore bundle with a statement of in-toto's: {error}",
            where=str(path),
            next_step="attest the package again",
        ) from error


def refuse_unattested(address: Address, *, bundled: bool, key: bool, identity: bool) -> None:
    """Raise where packages cannot be attested.

    ``bundled``: each has a bundle, made before; a channel of files takes no others.
    ``key``: an API key is set, and rattler takes attestations from trusted publishers only.
    Raises SelectionError: the host takes none, or this job cannot sign.
    """
    variable = address.host.variable
    if address.kind in {"folder", "s3"}:
        if bundled:
            return
        what = "packages are signed at the upload to a host, and these files go up as they are"
        how = f"make bundles, PACKAGE.conda{SUFFIX}, and name their folder with --attestations"
    elif not address.host.attestations:
        what, how = "this kind of host takes no attestations", "publish without --attest"
    elif key:
        what = f"attestations come from trusted publishers only, and {variable} is set"
        how = f"set up trusted publishing on {address.server} and leave {variable} empty"
    elif not identity:
        what = "no CI vouches for this job"
        how = "run it in GitHub Actions with `id-token: write`, or publish without --attest"
    else:
        return
    raise SelectionError(what, where=str(address), next_step=how)

"""Where a channel can be published: reads ``--to`` and knows each host's limits."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field

from generator.datafiles import load_data
from generator.errors import SelectionError
from generator.model.closed import Closed
from generator.urls import local_path, public_url

HostKind = Literal["folder", "s3", "prefix", "anaconda", "quetz", "artifactory"]

_LABEL = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,59}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
#: anaconda.org's name for the packages that have no other label
_MAIN = re.compile(r"/label/main$")
_FORMS = (
    "write a folder, file://, s3://bucket/path, https://prefix.dev/CHANNEL, "
    "https://anaconda.org/OWNER, or KIND+https://server/CHANNEL for prefix, anaconda, quetz and "
    "artifactory"
)


@dataclass(frozen=True, kw_only=True)
class Host(Closed):
    """What is known of one kind of destination; a row of hosts.yaml."""

    label: Literal["option", "folder", "suffix"]
    host: str = ""
    #: the server uploads go to, where that is another one than the host
    api: str = ""
    repodata: str = ""
    self_hosted_repodata: str = ""
    #: the environment variable with the token
    variable: str = ""
    #: whether it takes a sigstore attestation with a package
    attestations: bool = False
    #: the URL that takes a DELETE of one package
    delete: str = ""
    #: bytes the free plan holds, and the largest package; None where there is no limit
    files: Annotated[int, Field(gt=0)] | None = None
    package: Annotated[int, Field(gt=0)] | None = None


@dataclass(frozen=True, kw_only=True)
class Address:
    """A destination: which kind of host, which server, which channel there."""

    kind: HostKind
    #: the folder, ``s3://bucket``, or the server that uploads go to
    server: str
    #: channel name, owner, or key prefix in the bucket
    channel: str
    #: anaconda.org's label; elsewhere it is a part of `channel`
    label: str = ""
    #: where clients read the channel; "" where that is not ours to know (a bucket)
    url: str

    @property
    def host(self) -> Host:
        """What is known of this kind of destination."""
        return hosts()[self.kind]

    def __str__(self) -> str:
        if self.kind == "folder":
            return self.server
        shown = public_url("/".join(part for part in (self.server, self.channel) if part))
        return f"{shown} label {self.label}" if self.label else shown


@cache
def hosts() -> dict[HostKind, Host]:
    """Return what hosts.yaml says of each kind."""
    rows: dict[HostKind, Host] = load_data("hosts.yaml", dict[HostKind, Host])
    return rows


def parse_destination(text: str, *, label: str = "") -> Address:
    """Read what ``--to`` and feedstock.yaml's ``to:`` say.

    >>> parse_destination("https://anaconda.org/arm", label="nightly").channel
    'arm'

    Raises SelectionError: no such kind of destination, no channel in it, or an unusable label.
    """
    if label and _LABEL.fullmatch(label) is None:
        raise SelectionError(
            f"{label!r} cannot be a label",
            where="--label",
            next_step="begin with a letter; use letters, digits, dot, dash and underscore",
        )
    if "://" not in text or text.startswith("file:"):
        return _folder(local_path(text) or Path(text), label)
    kind, server, channel = _split(text)
    how = hosts()[kind]
    if how.label == "suffix" and label:
        channel = f"{channel}-{label}"
    elif how.label == "folder" and label:
        channel = f"{channel}/label/{label}".lstrip("/")
    shown = label or "main"
    form = how.repodata if not how.host or urlsplit(server).hostname == how.host else ""
    url = (form or how.self_hosted_repodata or how.repodata).format(
        server=server, channel=channel, label=shown
    )
    official = bool(how.api) and urlsplit(server).hostname == how.host
    return Address(
        kind=kind,
        server=how.api if official else server,
        channel=channel,
        label=shown if how.label == "option" else "",
        url=url,
    )


def labelled_url(channel: str, label: str) -> str:
    """Return what clients call a label of the channel that they call ``channel``.

    ``KIND+https://server/CHANNEL``, as ``--to`` takes it, says how a host of one's own names it.

    >>> labelled_url("armtorch", "nightly"), labelled_url("https://prefix.dev/arm", "rc")
    ('armtorch/label/nightly', 'https://prefix.dev/arm-rc')

    Raises SelectionError: it has a KIND+ that is not known, or the label is unusable.
    """
    parts = urlsplit(channel)
    if "+" in parts.scheme:
        return parse_destination(channel, label=label).url
    if not label:
        return channel
    server = parts.hostname or ""
    beside = {row.host for row in hosts().values() if row.label == "suffix" and row.host}
    plain = _MAIN.sub("", channel.rstrip("/"))
    if any(server == host or server.endswith(f".{host}") for host in beside):
        return f"{plain}-{label}"
    return f"{plain}/label/{label}"


def _folder(path: Path, label: str) -> Address:
    folder = path / "label" / label if label else path
    return Address(
        kind="folder", server=os.fspath(folder), channel="", url=folder.absolute().as_uri()
    )


def _split(text: str) -> tuple[HostKind, str, str]:
    parts = urlsplit(text)
    scheme, _, inner = parts.scheme.partition("+")
    path = parts.path.strip("/")
    if scheme == "s3" and parts.netloc:
        return "s3", f"s3://{parts.netloc}", path
    for kind, host in hosts().items():
        self_hosted = inner in {"http", "https"} and scheme == kind
        official = scheme == "https" and bool(host.host) and parts.hostname == host.host
        if (self_hosted or official) and parts.netloc and path:
            folder, _, channel = path.rpartition("/")
            if _NAME.fullmatch(channel) is None or (folder and parts.hostname == host.host):
                break  # a page of the host's, a label's address
            server = f"{inner or scheme}://{parts.netloc}/{folder}".rstrip("/")
            return kind, server, channel
    raise SelectionError(
        "not a destination that is known here", where=public_url(text), next_step=_FORMS
    )

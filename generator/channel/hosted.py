"""Channels that a host keeps: prefix.dev, anaconda.org, quetz, artifactory.

Packages go up by rattler-build's own upload functions, and the host indexes them itself. What is
there is read from the repodata that clients read.
"""

from __future__ import annotations

import io
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, Final, assert_never
from urllib.parse import quote

import requests
from rattler_build import RattlerBuildError
from rattler_build import upload as upload_to

from generator.channel.attesting import Attesting
from generator.channel.destinations import Address
from generator.channel.repodata import REPODATA, Record, Repodata
from generator.channel.stores import Outgoing
from generator.channel.variables import variable
from generator.documents import limits, load_json
from generator.errors import (
    ArmtorchError,
    ConflictError,
    DeclinedError,
    MalformedError,
    UnreachableError,
)
from generator.transport import open_session, read_body, typed, unanswered
from generator.transport.parts import PartsFile

#: bytes that are asked for at once
_PART: Final = 4 << 20
#: seconds in which a host's own index has to know what was uploaded
_INDEXED_WITHIN: Final = 30.0
#: rattler says "conflict" of 422, too, which is a file that the host does not take
_CONFLICT = re.compile(r"already exists|\b409\b", re.IGNORECASE)
#: rattler's words where it cannot attest for want of an identity, and where sigstore failed
_UNTRUSTED = re.compile(r"trusted publishing is not configured|detect OIDC identity")
_UNSIGNED = re.compile(r"failed to generate attestation", re.IGNORECASE)
_REFUSAL = re.compile(
    r"\b(400|401|402|403|404|413|422)\b|authenticat|api key|token|rejected|unprocessable|forbidden",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class _Upload:
    """One call of rattler-build; plain, since it travels to a process of its own by a pipe."""

    address: Address
    path: str
    token: str | None = field(repr=False)
    auth_file: str | None
    replace: bool
    #: sign it with the CI's identity
    sign: bool = False
    #: or send this bundle along
    bundle: str | None = None

    def run(self) -> str:
        """Upload, and return what went wrong, "" when nothing did."""
        if not self.sign:
            return self._sent(self.path)
        # rattler leaves the bundle it made beside the package: that is to be no channel's folder
        with TemporaryDirectory(prefix="armtorch-attested-") as folder:
            link = Path(folder) / Path(self.path).name
            link.symlink_to(Path(self.path).resolve())
            return self._sent(os.fspath(link))

    def _sent(self, path: str) -> str:
        address, files, token, stored = self.address, [path], self.token, self.auth_file
        try:
            match address.kind:
                case "prefix":
                    upload_to.upload_package_to_prefix(
                        files,
                        address.server,
                        address.channel,
                        api_key=token,
                        auth_file=stored,
                        force=self.replace,
                        generate_attestation=self.sign,
                        attestation_file=self.bundle,
                    )
                case "anaconda":
                    upload_to.upload_package_to_anaconda(
                        files,
                        address.channel,
                        channel=[address.label],
                        api_key=token,
                        url=address.server,
                        force=self.replace,
                        auth_file=stored,
                    )
                case "quetz":
                    upload_to.upload_package_to_quetz(
                        files, address.server, address.channel, api_key=token, auth_file=stored
                    )
                case "artifactory":
                    upload_to.upload_package_to_artifactory(
                        files, f"{address.server}/", address.channel, token=token, auth_file=stored
                    )
                case "folder" | "s3":
                    return f"{address.kind} is no host"
                case _ as kind:
                    assert_never(kind)
        except RattlerBuildError as error:
            return str(error)
        return ""


def _sent_within(upload: _Upload, size: int, url: str) -> str:
    """Run an upload in a process of its own, and end it when its time is over.

    Raises UnreachableError: it was not done within what an answer and its bytes may take.
    """
    with unanswered(url) as waited:
        context = get_context("spawn")
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_upload_in, args=(upload, sender))
        process.start()
        sender.close()
        seconds = waited.answer_seconds + size / waited.slowest
        try:
            if not receiver.poll(seconds):
                raise UnreachableError(
                    f"the upload was not done within {seconds:.0f} s",
                    where=url,
                    next_step="try again later; what is there already is skipped",
                )
            return str(receiver.recv())
        except EOFError:
            return "the upload ended without a word"
        finally:
            process.kill()
            process.join()


def _upload_in(upload: _Upload, answer: Connection[Any, Any]) -> None:
    answer.send(upload.run())


def _labels(content: bytes, url: str) -> set[str]:
    """Read the labels of a file; raises MalformedError."""
    step = "look at the file there before you delete it"
    found = load_json(content, url, next_step=step)
    labels = found.get("labels") if isinstance(found, dict) else None
    if not isinstance(labels, list) or not all(isinstance(each, str) for each in labels):
        raise MalformedError("it does not say which labels the file has", where=url, next_step=step)
    return set(labels)


@dataclass(frozen=True, kw_only=True)
class HostedTarget:
    """A channel at a host."""

    address: Address
    #: subdirs that are asked for
    subdirs: Sequence[str]
    #: where tokens are looked for, before rattler's keyring and auth file
    environment: Mapping[str, str]
    #: None: packages go up without attestations
    attesting: Attesting | None = None

    def __repr__(self) -> str:
        return f"HostedTarget({self.address})"

    def packages(self) -> dict[str, int]:
        """Return every package the host's repodata has, with its bytes."""
        return {record.key: record.size for record in self.records()}

    def records(self) -> tuple[Record, ...]:
        """Return the records of every subdir.

        Raises UnreachableError: the host does not answer. DeclinedError: it wants credentials.
        """
        return tuple(record for subdir in self.subdirs for record in self._subdir(subdir))

    def sha256(self, key: str) -> str:
        """Return the sha256 that the host's repodata has, "" where it does not know the package."""
        rows = self._subdir(key.split("/", 1)[0])
        return next((record.sha256 for record in rows if record.key == key), "")

    @contextmanager
    def open(self, key: str) -> Iterator[BinaryIO]:
        """Open a package there; reads become range requests, where the host has those.

        Raises UnreachableError: the host does not answer. DeclinedError: it wants credentials.
        """
        url = f"{self.address.url}/{key}"
        whole = b""

        def part(place: int, wanted: int) -> bytes:
            nonlocal whole
            last = place + wanted - 1
            found = whole or self._asked("GET", url, {"Range": f"bytes={place}-{last}"}) or b""
            if len(found) > wanted:
                whole = found  # who does not know ranges sends all of it
            return found[place : last + 1] if whole else found

        with io.BufferedReader(PartsFile(self.packages().get(key, 0), part), _PART) as file:
            yield file

    def put(self, package: Outgoing, *, replace: bool, advance: Callable[[int], None]) -> None:
        """Upload one package.

        Raises ConflictError: the host has other bytes under this name. DeclinedError: it says no.
        UnreachableError: it does not answer, or answers 5xx.
        """
        package.verify()
        if replace and self.address.kind == "quetz":
            # rattler-build's upload to quetz knows no replacement: the old file goes first
            self.delete(package.record)
        bundle = self.attesting.bundle(package) if self.attesting is not None else None
        upload = _Upload(
            address=self.address,
            path=os.fspath(package.path),
            token=self._token() or None,
            auth_file=self.environment.get("RATTLER_AUTH_FILE"),
            replace=replace,
            sign=self.attesting is not None and bundle is None,
            bundle=os.fspath(bundle) if bundle is not None else None,
        )
        # rattler-build's functions hold the interpreter's lock until they are done: in processes
        # of their own several run at once, and Ctrl-C is heard
        message = _sent_within(upload, package.record.size, self.address.url)
        if message:
            self._judge(package, self._redacted(message))
        advance(package.record.size)

    def _judge(self, package: Outgoing, message: str) -> None:
        """Say what an upload's error means; a package that is there after all is no error."""
        where = f"{self.address}/{package.key}"
        if _CONFLICT.search(message):
            if self._indexed(package) == package.record.sha256:
                return
            raise ConflictError(
                f"other bytes are there under this name: {message}",
                where=where,
                next_step="raise the build number, or replace it with --force",
            )
        variable = self.address.host.variable
        if _UNTRUSTED.search(message):
            raise DeclinedError(
                message,
                where=where,
                next_step=f"{self.address.server} has to know this repository and workflow as a "
                "trusted publisher of the channel, and the job needs `id-token: write`",
            )
        kind: type[ArmtorchError] = DeclinedError if _REFUSAL.search(message) else UnreachableError
        if _UNSIGNED.search(message):
            kind = UnreachableError  # sigstore's services did not answer
        raise kind(
            message,
            where=where,
            next_step=f"check {variable} or rattler's stored login, and the plan's quota; what is "
            "there already is skipped by the next run",
        )

    def _indexed(self, package: Outgoing) -> str:
        """Return the sha256 the host's index gives, waiting a little for it to be indexed."""
        end = time.monotonic() + _INDEXED_WITHIN
        while not (found := self.sha256(package.key)) and time.monotonic() < end:
            time.sleep(1)
        return found

    def delete(self, record: Record) -> None:
        """Take one package away; the host indexes that itself. One that is gone is no error.

        Raises DeclinedError: it says no, there is no token, or the file has another label, too.
        UnreachableError: it does not answer, or answers 5xx.
        """
        variable = self.address.host.variable
        if not self._token():
            raise DeclinedError(
                "there is no token; rattler's stored login serves uploads only",
                where=str(self.address),
                next_step=f"set {variable}",
            )
        parts = {
            "channel": self.address.channel,
            "subdir": record.subdir,
            "name": record.name,
            "version": record.version,
            "file": record.file_name,
        }
        quoted = {name: quote(part, safe="") for name, part in parts.items()}
        url = self.address.host.delete.format(server=self.address.server, **quoted)
        if self.address.kind == "anaconda" and not self._only_label(url):
            return
        self._asked("DELETE", url)

    def _only_label(self, url: str) -> bool:
        """Whether a file is still there; raises DeclinedError where another label has it, too.

        A file at anaconda.org goes from all of its labels (its API's ``labels`` of a file).
        """
        content = self._asked("GET", url)
        if content is None:
            return False
        labels = _labels(content, url)
        if other := labels - {self.address.label}:
            raise DeclinedError(
                f"it has the label {', '.join(sorted(other))}, too, and would go from there",
                where=url,
                next_step="take this label off the file there: anaconda label --help",
            )
        return True

    def _subdir(self, subdir: str) -> tuple[Record, ...]:
        url = f"{self.address.url}/{subdir}/{REPODATA}"
        content = self._asked("GET", url)
        return () if content is None else tuple(Repodata.parse(content, url).records())

    def _asked(
        self, method: str, url: str, headers: Mapping[str, str] | None = None
    ) -> bytes | None:
        """Send a request; return what is answered, None for 404."""
        headers = dict(headers or {})
        if token := self._token():
            key = "X-API-Key" if self.address.kind == "quetz" else "Authorization"
            scheme = {"quetz": "", "anaconda": "token "}.get(self.address.kind, "Bearer ")
            headers[key] = f"{scheme}{token}"
        try:
            with typed(url), open_session() as session:
                answer = session.request(method, url, headers=headers, stream=True)
                content = read_body(answer, limits().json.bytes, url)
        except UnreachableError as error:
            raise UnreachableError(
                self._redacted(error.what), where=url, next_step="try again later"
            ) from error
        if answer.status_code == requests.codes.not_found:
            return None
        if answer.status_code in {requests.codes.unauthorized, requests.codes.forbidden}:
            raise DeclinedError(
                f"it answered {answer.status_code}",
                where=url,
                next_step=f"set {self.address.host.variable}",
            )
        if not answer.ok:
            raise UnreachableError(
                f"it answered {answer.status_code}", where=url, next_step="try again later"
            )
        return content

    def _token(self) -> str:
        return variable(self.environment, self.address.host.variable)

    def _redacted(self, message: str) -> str:
        token = self._token()
        return message.replace(token, "***") if token else message

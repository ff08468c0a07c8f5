"""Reads indexes: PEP 503 HTML, PEP 691 JSON and plain folders, all into offers."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from packaging.utils import canonicalize_name
from pypi_simple import (
    ACCEPT_ANY,
)

from generator.documents import limits, read_bytes
from generator.errors import (
    AbsentError,
    UnreachableError,
    UnsafeArchiveError,
)
from generator.model.names import one_line
from generator.upstream.claims import Claims
from generator.upstream.index_pages import IndexPage, not_an_index, parse_html, parse_page
from generator.upstream.offers import Offer, parse_offer
from generator.upstream.page_store import Page
from generator.upstream.session import Web
from generator.urls import local_path, public_url

_CHUNK = 1 << 20
#: characters of the reason of a yank that are kept
_REASON = 300
_SHA256 = re.compile("[0-9a-f]{64}")


class Index(Protocol):
    """Somewhere wheels are offered."""

    @property
    def name(self) -> str:
        """The index's name in feedstock.yaml."""

    @property
    def claims(self) -> Claims:
        """How its wheels are to be understood."""

    def offers(self, project: str) -> tuple[Offer, ...]:
        """Return the project's wheels.

        Raises AbsentError: it has none.
        UnreachableError: it does not answer.
        MalformedError: its answer is not an index page.
        """


@dataclass(frozen=True)
class SimpleIndex:
    """A PEP 503 or PEP 691 index on a server."""

    name: str
    url: str
    web: Web
    claims: Claims = field(default_factory=Claims)
    _seen: dict[str, tuple[Offer, ...]] = field(default_factory=dict, repr=False, compare=False)
    _silence: list[UnreachableError] = field(default_factory=list, repr=False, compare=False)

    def offers(self, project: str) -> tuple[Offer, ...]:
        """See :class:`Index`; a page is asked for once in a run."""
        if project not in self._seen:
            self._seen[project] = self._ask(project)
        return self._seen[project]

    def page(self, project: str) -> Page:
        """Get a project's page; raises as `offers` does."""
        if self._silence:
            raise self._silence[0]
        url = self._page_of(project)
        try:
            return self.web.page(url, ACCEPT_ANY)
        except AbsentError as error:
            raise _no_wheels(project, url) from error
        except UnsafeArchiveError as error:
            raise not_an_index(url, error.what) from error

    def knock(self, project: str, seconds: float) -> None:
        """Ask whether there is an answer, whatever it is; without one it is not asked again."""
        try:
            self.web.knock(self._page_of(project), seconds)
        except UnreachableError as error:
            self.silenced(error)

    def silenced(self, error: UnreachableError) -> None:
        """Ask no more in this run, and say what ``error`` says."""
        self._silence.append(error)

    def _page_of(self, project: str) -> str:
        return f"{self.url.rstrip('/')}/{canonicalize_name(project)}/"

    def _ask(self, project: str) -> tuple[Offer, ...]:
        url, page = self._page_of(project), self.page(project)
        return _offers_of_page(parse_page(project, page, url), self, project, url)


@dataclass(frozen=True)
class FolderIndex:
    """A folder of wheels, or of one folder per project; ``index.html`` is read where it stands."""

    name: str
    folder: Path
    claims: Claims = field(default_factory=Claims)
    #: whether its absence is an index that is down: a share that is not mounted
    declared: bool = False
    _seen: dict[str, tuple[Offer, ...]] = field(default_factory=dict, repr=False, compare=False)

    def offers(self, project: str) -> tuple[Offer, ...]:
        """See :class:`Index`; hashes the index does not promise are computed, once in a run."""
        if project not in self._seen:
            self._seen[project] = self._look(project)
        return self._seen[project]

    def _look(self, project: str) -> tuple[Offer, ...]:
        if self.declared and not self.folder.is_dir():
            raise UnreachableError(
                "there is no such folder",
                where=str(self.folder),
                next_step=f"mount or make it, or mend indexes.{self.name} in feedstock.yaml",
            )
        own = self.folder / canonicalize_name(project)
        folder = own if own.is_dir() else self.folder
        if not folder.is_dir():
            raise AbsentError(
                "there is no such folder",
                where=str(folder),
                next_step="make it, or mend the index in feedstock.yaml",
            )
        page = folder / "index.html"
        if page.is_file():
            listed = parse_html(
                project, _read(page, limits().page.html), page.absolute().as_uri(), None, str(page)
            )
            found = _offers_of_page(listed, self, project, str(page))
            return tuple(_hashed(offer) for offer in found)
        offers = (
            parse_offer(
                path.name,
                index=self.name,
                url=path.absolute().as_uri(),
                sha256=None,
                size=path.stat().st_size,
            )
            for path in sorted(folder.glob("*.whl"))
        )
        wanted = canonicalize_name(project)
        kept = tuple(
            _hashed(_claimed(offer, self.claims))
            for offer in offers
            if offer and offer.project == wanted
        )
        if not kept:
            raise _no_wheels(project, str(folder))
        return kept


@dataclass(frozen=True)
class PipIndex:
    """pip's own indexes: the main one, and the extra ones for what it does not have."""

    name: str
    indexes: tuple[Index, ...]
    claims: Claims = field(default_factory=Claims)

    def offers(self, project: str) -> tuple[Offer, ...]:
        """See :class:`Index`; an index that does not answer is never passed over silently."""
        missing: list[AbsentError] = []
        for index in self.indexes:
            try:
                return index.offers(project)
            except AbsentError as error:
                missing.append(error)
        raise missing[0]


def _offers_of_page(page: IndexPage, index: Index, project: str, url: str) -> tuple[Offer, ...]:
    if not any(package.package_type for package in page.packages):
        # PEP 629: an index page may say its version; HTML with neither that nor a single file
        # is a login page, a proxy's notice or the like
        if page.packages or page.repository_version is None:
            raise not_an_index(url, "it lists no distribution file")
        raise _no_wheels(project, url)
    offers = _once_each(
        _claimed(offer, index.claims) for offer in _wheels(page, index, canonicalize_name(project))
    )
    if not offers:
        raise _no_wheels(project, url)
    return offers


def _wheels(page: IndexPage, index: Index, project: str) -> Iterator[Offer]:
    for package in page.packages:
        digests = package.metadata_digests or {}
        sha256 = (package.digests.get("sha256") or "").lower()
        copy = (digests.get("sha256") or "").lower()
        offer = parse_offer(
            package.filename,
            index=index.name,
            url=package.url,
            size=package.size,
            sha256=sha256 if _SHA256.fullmatch(sha256) else None,
            requires_python=package.requires_python or "",
            yanked=one_line(package.yanked_reason or "", _REASON) if package.is_yanked else None,
            has_metadata=bool(package.has_metadata),
            metadata_sha256=copy if _SHA256.fullmatch(copy) else None,
            uploaded=_moment(page.uploaded.get(package.filename, "")),
            refused=_unusable(package.url, sha256, index),
        )
        if offer is not None and offer.project == project:
            yield offer


def _moment(text: str) -> str:
    """Return when the index got a file; "" where what it says is no time."""
    return text if re.fullmatch(r"[0-9T:.+Z -]{0,40}", text) else ""


def _unusable(url: str, sha256: str, index: Index) -> str:
    """Say why a listed file is not to be used; "" where nothing speaks against it.

    Digests name files of the cache and folders of the wheelhouse, so one that is none must not
    get there, and a server must not choose which local files are read.
    """
    if sha256 and not _SHA256.fullmatch(sha256):
        return f"the sha256 that the index gives is none: {sha256[:64]!r}"
    if isinstance(index, SimpleIndex) and local_path(url) is not None:
        return "its link on a server's page is a file: URL"
    return ""


def _claimed(offer: Offer, claims: Claims) -> Offer:
    """Note what the wheel is said to be for, or why it does not belong to its index."""
    try:
        claim = claims.of(offer.version, offer.platforms)
    except ValueError as error:
        return replace(offer, refused=str(error))
    linux = any("linux" in platform for platform in offer.platforms)
    return replace(offer, claim=claim, glibc=claims.glibc if linux else "")


def _once_each(offers: Iterable[Offer]) -> tuple[Offer, ...]:
    """Keep each file once; one that is listed with two hashes is not to be used."""
    found: dict[str, Offer] = {}
    for offer in offers:
        known = found.setdefault(offer.filename, offer)
        if offer.sha256 and known.sha256 and offer.sha256 != known.sha256:
            why = f"the index lists it with two hashes, {known.sha256} and {offer.sha256}"
            found[offer.filename] = replace(known, refused=why, disputed=True)
        elif offer.sha256 and not known.sha256 and not known.refused:
            found[offer.filename] = offer
    return tuple(found.values())


def _read(path: Path, limit: int) -> bytes:
    try:
        return read_bytes(path, limit)
    except OSError as error:
        raise not_an_index(str(path), error.strerror or str(error)) from error


def _hashed(offer: Offer) -> Offer:
    """Fill in what a folder does not say about a local file: its size and sha256."""
    path = local_path(offer.url)
    if path is None or not path.is_file() or (offer.sha256 and offer.size):
        return offer
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return replace(
        offer,
        sha256=offer.sha256 or digest.hexdigest(),
        hash_computed=not offer.sha256,
        size=path.stat().st_size,
    )


def _no_wheels(project: str, where: str) -> AbsentError:
    return AbsentError(
        f"no wheels of {project}",
        where=public_url(where),
        next_step="check the index, or declare another one in feedstock.yaml",
    )

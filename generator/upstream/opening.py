"""Makes the indexes that feedstock.yaml describes, and finds one by its name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from generator.errors import FeedstockError
from generator.feedstock import IndexSource
from generator.model.accelerator import accelerator_of_label
from generator.upstream.claims import EVERY_LINE, Claims, claims_of
from generator.upstream.families import Family
from generator.upstream.indexes import FolderIndex, Index, PipIndex, SimpleIndex
from generator.upstream.pip_configuration import PipConfiguration
from generator.upstream.session import Web
from generator.urls import local_path

#: what devpi appends to an index's URL for installers
_DEVPI_SIMPLE: Final = "/+simple"


def open_index(
    name: str, source: IndexSource, *, web: Web, pip: PipConfiguration, base: Path
) -> Index:
    """Make the index that feedstock.yaml describes; relative folders are relative to ``base``.

    Raises FeedstockError: the source has no URL although its kind needs one.
    """
    claims = claims_of(name, source)
    if source.kind == "pip":
        found = tuple(_by_url(name, url, web, claims) for url in pip.indexes)
        return PipIndex(name, found, claims)
    if not source.url:
        raise FeedstockError(
            f"indexes.{name} is of kind {source.kind} and has no url",
            where="feedstock.yaml",
            next_step="give it a url",
        )
    if source.kind == "folder" and "://" not in source.url:
        return FolderIndex(name, (base / source.url).absolute(), claims, declared=True)
    url = source.url
    if source.kind == "pytorch" and url.rstrip("/").endswith(f"/{EVERY_LINE}"):
        return _every_line(name, source, web, claims)
    if source.kind == "devpi" and not url.rstrip("/").endswith(_DEVPI_SIMPLE):
        # <user>/<index>/ is a page for people; installers are sent on by their User-Agent only
        url = f"{url.rstrip('/')}{_DEVPI_SIMPLE}/"
    return _by_url(name, url, web, claims)


def _by_url(name: str, url: str, web: Web, claims: Claims) -> Index:
    folder = local_path(url)
    if folder is not None:
        return FolderIndex(name, folder, claims)
    return SimpleIndex(name, url, web, claims)


def _every_line(name: str, source: IndexSource, web: Web, claims: Claims) -> Family:
    root = (source.url or "").rstrip("/").removesuffix(EVERY_LINE)

    def make(name: str, label: str) -> Index:
        own = Claims(
            accelerator=accelerator_of_label(label) or "",
            local_versions=claims.local_versions or (label,),
            glibc=claims.glibc,
            subdirs=claims.subdirs,
        )
        return SimpleIndex(name, f"{root}{label}", web, own)

    return Family(name, claims, SimpleIndex(name, root, web, claims), make)


def index_called(indexes: Mapping[str, Index], name: str) -> Index | None:
    """Return the index that a wheel of the lock names, also one of those that stand together."""
    if (found := indexes.get(name)) is not None:
        return found
    families = (each for each in indexes.values() if isinstance(each, Family))
    return next((found for each in families if (found := each.called(name))), None)

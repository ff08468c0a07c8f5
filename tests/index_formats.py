"""The layouts of upstream's own indexes, for the server of index_server: byte for byte, with traps.

Sources: download.pytorch.org is written by pytorch/test-infra, s3_management/manage_v2.py (21 Aug
2026); devpi's pages by devpi-server, views.py; held against the pages themselves in Nov 2026.
"""

from __future__ import annotations

import hashlib
import html
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from packaging.utils import canonicalize_name

from tests.synthetic_wheels.archive import metadata_of

#: manage_v2.py, KEEP_THRESHOLD: versions of a nightly package that stay in an index
KEEP_THRESHOLD = 60


class Site(Protocol):
    """What a server gives for a path."""

    def page(self, path: str) -> bytes | None:
        """Return the HTML page at an unquoted path."""

    def file(self, path: str) -> Path | None:
        """Return the wheel at an unquoted path."""


@dataclass
class PytorchSite:
    """download.pytorch.org: ``<folder>/whl/[nightly/|test/]<cpu|cu130>/*.whl``.

    Wheels in ``whl/`` itself are what was uploaded there years ago; every sub-index lists them.
    """

    folder: Path
    #: base of hrefs of stable and nightly wheels: another host, switched in outages
    files: str = ""
    #: file name -> ``data-upload-time``
    uploaded: dict[str, str] = field(default_factory=dict)
    #: file names without a ``.metadata`` beside them
    bare: set[str] = field(default_factory=set)
    #: file name -> sha256 under which it is listed a second time
    twice: dict[str, str] = field(default_factory=dict)

    def page(self, path: str) -> bytes | None:
        if not path.startswith("/whl/") or not path.endswith("/"):
            return None
        sub, project = posixpath.split(path.strip("/").removeprefix("whl/"))
        root = self.folder / "whl"
        listed = list(_wheels(root / sub, project))
        if sub in {"", "test", "nightly"}:
            # the page above the sub-indexes lists what all of them have
            below = sorted(path for path in (root / sub).glob("cpu*") if path.is_dir())
            below += sorted(path for path in (root / sub).glob("cu[0-9]*") if path.is_dir())
            listed += [wheel for folder in below for wheel in _wheels(folder, project)]
        if "nightly" in sub:
            versions = sorted({p.name.split("-")[1] for p in listed}, reverse=True)
            listed = [p for p in listed if p.name.split("-")[1] in versions[:KEEP_THRESHOLD]]
        else:
            listed += _wheels(root, project)
        if not listed:
            return None
        rows = [self._link(sub, path) for path in listed]
        rows += [
            self._link(sub, path, self.twice[path.name])
            for path in listed
            if path.name in self.twice
        ]
        links = "\n".join(f"    {row}<br/>" for row in rows)
        return (
            "<!DOCTYPE html>\n<html>\n  <body>\n"
            f"    <h1>Links for {project.lower().replace('_', '-')}</h1>\n{links}\n"
            "  </body>\n</html>\n<!--TIMESTAMP 1763800000-->"
        ).encode()

    def file(self, path: str) -> Path | None:
        found = self.folder / path.strip("/")
        return found if path.startswith("/whl/") and found.suffix == ".whl" else None

    def _link(self, sub: str, path: Path, sha256: str = "") -> str:
        where = quote(f"/{path.relative_to(self.folder).as_posix()}")
        host = "" if sub.startswith("test/") else self.files
        digest = sha256 or _sha256(path.read_bytes())
        fragment = "" if sub.startswith("nightly/") else f"#sha256={digest}"
        attributes = ""
        if path.name not in self.bare:
            digest = _sha256(metadata_of(path))
            attributes += f' data-dist-info-metadata="sha256={digest}"'
            attributes += f' data-core-metadata="sha256={digest}"'
        if path.name in self.uploaded:
            attributes += f' data-upload-time="{self.uploaded[path.name]}"'
        return f'<a href="{host}{where}{fragment}"{attributes}>{path.name}</a>'


@dataclass
class DevpiSite:
    """A devpi server: ``<folder>/<user>/<index>/*.whl``, pages at ``+simple``, files at ``+f``."""

    folder: Path
    users: tuple[str, ...] = ("jp6", "sbsa")
    #: file name -> ``data-requires-python``
    requires_python: dict[str, str] = field(default_factory=dict)

    def page(self, path: str) -> bytes | None:
        index, simple, rest = path.strip("/").partition("/+simple")
        project = rest.strip("/")
        if "/+f/" in path:
            return None
        if not simple:
            page = b"<html><body><a href='/'>devpi</a>, for people</body></html>"
            return page if index.split("/")[0] in self.users else None
        listed = list(_wheels(self.folder / index, project))
        if not listed:
            return None
        links = "\n".join(f"{self._link(path)}<br/>" for path in listed)
        title = f"{index}: links for {project}"
        return (
            f"<!DOCTYPE html><html><head><title>{title}</title></head><body><h1>{title}</h1>\n"
            f"{links}\n</body></html>"
        ).encode()

    def file(self, path: str) -> Path | None:
        index, stored, rest = path.strip("/").partition("/+f/")
        found = self.folder / index / posixpath.basename(rest)
        if not stored or not found.is_file():
            return None
        return found if rest == _stored(found) else None

    def _link(self, path: Path) -> str:
        wanted = self.requires_python.get(path.name)
        attribute = f' data-requires-python="{html.escape(wanted)}"' if wanted else ""
        fragment = f"sha256={_sha256(path.read_bytes())}"
        return f'<a href="../../+f/{_stored(path)}#{fragment}"{attribute}>{path.name}</a>'


@dataclass
class NvidiaSite:
    """pypi.nvidia.com: PEP 503 pages of one folder, relative hrefs, ``%2B``, sha256."""

    folder: Path

    def page(self, path: str) -> bytes | None:
        sub, project = posixpath.split(path.strip("/"))
        listed = list(_wheels(self.folder / sub, project))
        if not listed:
            return None
        links = "\n".join(
            f'    <a href="{quote(p.name)}#sha256={_sha256(p.read_bytes())}">{p.name}</a><br>'
            for p in listed
        )
        return f"<!DOCTYPE html>\n<html>\n  <body>\n{links}\n  </body>\n</html>\n".encode()

    def file(self, path: str) -> Path | None:
        sub, _, name = path.strip("/").rpartition("/")
        found = self.folder / posixpath.dirname(sub) / name
        return found if found.suffix == ".whl" and found.is_file() else None


def _wheels(folder: Path, project: str) -> Iterator[Path]:
    wanted = canonicalize_name(project)
    for path in sorted(folder.glob("*.whl")):
        if canonicalize_name(path.name.split("-")[0]) == wanted:
            yield path


def _stored(path: Path) -> str:
    """Where devpi keeps a file: by its sha256, split after three digits, 16 in all."""
    digest = _sha256(path.read_bytes())
    return f"{digest[:3]}/{digest[3:16]}/{path.name}"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

"""Writes the final .conda file once: same inputs, same bytes, whoever builds where (decision D8).

rattler-build stamps the time of the build, absolute folders and the machine into a package. The
seal reads its quickly compressed draft as a stream and writes the same files and metadata without
them, at the final level, and proves on the way that ``paths.json`` tells the truth.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from generator.building.archive import (
    BLOCK,
    CondaWriter,
    TarZst,
    is_binary,
    open_payload,
    read_info,
    read_json,
)
from generator.building.judging import Judge, Judgement, accept
from generator.building.policy import SealPolicy
from generator.building.rendered import normalise
from generator.errors import BuildError, IntegrityError
from generator.model.provenance import Provenance

_ABOUT: Final = "info/about.json"
_RENDERED: Final = "info/recipe/rendered_recipe.yaml"
DIGESTS: Final = "info/armtorch/digests.json"


@dataclass(frozen=True, kw_only=True)
class Sealed:
    """A finished package, not on a channel yet."""

    path: Path
    size: int
    sha256: str
    #: info/index.json
    index: dict[str, Any]
    #: path -> target of every link, else None; in the order of the archive
    files: dict[str, str | None]
    #: paths of ELF, Mach-O and PE files
    binaries: tuple[str, ...]
    judgement: Judgement


def seal(
    draft: Path,
    target: Path,
    *,
    milliseconds: int,
    level: int,
    cores: int,
    rules: SealPolicy,
    token: bytes = b"",
    judge: Judge = accept,
    provenance: Provenance | None = None,
    purls: Sequence[str] = (),
) -> Sealed:
    """Write ``target`` from rattler-build's ``draft``.

    A ``.part`` beside ``target`` is replaced onto it at the end. How many ``cores`` compress does
    not change the bytes; ``rules`` do. ``token`` is a part of the build folder's path that no file
    may hold. ``judge`` looks at the package before its metadata are written, and may raise its
    floor. ``provenance`` is what about.json is to say of the recipe's repository, ``purls`` are the
    projects of PyPI that the package installs.
    Raises LinkageError: ``judge`` refuses the package. BuildError: a file holds the build folder's
    path. IntegrityError: the draft is damaged, or contradicts its own ``paths.json``.
    """
    info = read_info(draft)
    content = _Content(draft, _read_paths(info, draft), token)
    index = {**read_json(info, "info/index.json", draft), "timestamp": milliseconds}
    if purls:
        index["purls"] = list(purls)
    if provenance is not None:
        info = {**info, _ABOUT: _stated(read_json(info, _ABOUT, draft), provenance)}
    part = target.with_name(target.name + ".part")
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
            seconds, stem = milliseconds // 1000, target.name.removesuffix(".conda")
            writer = CondaWriter(
                archive, stem, level=level, cores=cores, seconds=seconds, rules=rules
            )
            with writer.tar("pkg") as tar:
                content.copy_to(tar)
            judgement = judge(index, content.files, tuple(content.binaries))
            index = judgement.apply(info, index)
            with writer.tar("info") as tar:
                for name, data in _final_info(info, index, milliseconds):
                    content.refuse_token(name, data)
                    tar.add(name, (data,), len(data))
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return _sealed(target, index, content, judgement)


def _sealed(target: Path, index: dict[str, Any], content: _Content, judgement: Judgement) -> Sealed:
    with target.open("rb") as finished:
        digest = hashlib.file_digest(finished, "sha256").hexdigest()
    return Sealed(
        path=target,
        size=target.stat().st_size,
        sha256=digest,
        index=index,
        files=content.files,
        binaries=tuple(content.binaries),
        judgement=judgement,
    )


class _Content:
    """The files of a draft, checked against its paths.json while they are copied."""

    def __init__(self, draft: Path, paths: dict[str, dict[str, Any]], token: bytes) -> None:
        self._draft, self._paths, self._token = draft, paths, token
        self.files: dict[str, str | None] = {}
        self.binaries: list[str] = []

    def copy_to(self, tar: TarZst) -> None:
        """Copy every file; IntegrityError where the draft is not what it says."""
        last: tuple[str, ...] = ()
        with open_payload(self._draft) as payload:
            for entry in payload:
                # rattler-build sorts by path components; the seal's bytes rely on it
                if (parts := PurePosixPath(entry.name).parts) <= last:
                    raise self._broken(entry.name, "stands out of order, or twice")
                last = parts
                self._copy(payload, entry, tar)
        if missing := sorted(self._paths.keys() - self.files.keys()):
            raise self._broken(missing[0], "is in paths.json and not in the archive")

    def _copy(self, payload: tarfile.TarFile, entry: tarfile.TarInfo, tar: TarZst) -> None:
        row = self._paths.get(entry.name.rstrip("/"))
        if row is None:
            raise self._broken(entry.name, "is in the archive and not in paths.json")
        if row.get("prefix_placeholder"):
            raise self._holds_folder(entry.name)
        kind = row["path_type"]
        self.files[entry.name.rstrip("/")] = entry.linkname if entry.issym() else None
        if entry.issym() and kind == "softlink":
            tar.add_link(entry.name, entry.linkname)
        elif entry.isreg() and kind == "hardlink":
            tar.add(entry.name, self._checked(payload, entry, row), entry.size)
        else:
            raise self._broken(entry.name, f"is not the {kind} that paths.json has")

    def _checked(
        self, payload: tarfile.TarFile, entry: tarfile.TarInfo, row: dict[str, Any]
    ) -> Iterator[bytes]:
        stream = payload.extractfile(entry)
        digest, keep, tail = hashlib.sha256(), len(self._token) - 1, b""
        while stream is not None and (block := stream.read(BLOCK)):
            if not tail and is_binary(block):
                self.binaries.append(entry.name)
            # the token may lie across two blocks
            self.refuse_token(entry.name, block)
            if tail:
                self.refuse_token(entry.name, tail + block[:keep])
            tail = block[-max(keep, 1) :]
            digest.update(block)
            yield block
        if (digest.hexdigest(), entry.size) != (row["sha256"], row["size_in_bytes"]):
            raise self._broken(entry.name, "has other bytes than paths.json says")

    def refuse_token(self, name: str, block: bytes) -> None:
        """Raise BuildError when ``block`` of file ``name`` holds the build folder's path."""
        if self._token and self._token in block:
            raise self._holds_folder(name)

    def _holds_folder(self, name: str) -> BuildError:
        return BuildError(
            f"{name} holds the path of the folder it was built in",
            where=self._draft.name,
            next_step="let the recipe's build.py write it relative to the prefix",
        )

    def _broken(self, name: str, what: str) -> IntegrityError:
        return IntegrityError(
            f"{name} {what}", where=str(self._draft), next_step="build the package again"
        )


def _read_paths(info: dict[str, bytes], draft: Path) -> dict[str, dict[str, Any]]:
    rows = read_json(info, "info/paths.json", draft).get("paths", [])
    return {row["_path"]: row for row in rows}


def _stated(about: dict[str, Any], provenance: Provenance) -> bytes:
    extra = {**about.get("extra", {}), **provenance.fields()}
    # rattler-build's own layout: its keys are in order, and those of extra sorted
    value = {**about, "extra": dict(sorted(extra.items()))}
    return json.dumps(value, indent=2, ensure_ascii=False).encode()


def _final_info(
    info: dict[str, bytes], index: dict[str, Any], milliseconds: int
) -> list[tuple[str, bytes]]:
    """Return the metadata files as they are to be, sorted by path."""
    # rattler-build's own layout: sorted keys, two spaces
    text = json.dumps(index, indent=2, sort_keys=True, ensure_ascii=False)
    final = info | {"info/index.json": text.encode()}
    if _RENDERED in final:
        final[_RENDERED] = normalise(final[_RENDERED], milliseconds=milliseconds)
    final[DIGESTS] = digests_text(final)
    return sorted(final.items())


def digests_text(info: Mapping[str, bytes]) -> bytes:
    """Return what DIGESTS holds: the sha256 of every other metadata file.

    paths.json has the packaged files' own; by both a package can be seen to be whole where nothing
    else is known of it.
    """
    found = {
        name: hashlib.sha256(content).hexdigest()
        for name, content in sorted(info.items())
        if name != DIGESTS
    }
    return (json.dumps(found, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "replace")

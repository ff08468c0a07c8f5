"""Writes .conda files with the content a test wants, as the seal does and without a build."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from generator.building.archive import CondaWriter
from generator.building.policy import policy


def write_conda(
    folder: Path,
    name: str,
    version: str,
    build: str,
    *,
    depends: Sequence[str] = (),
    files: Mapping[str, bytes] | None = None,
    links: Mapping[str, str] | None = None,
    subdir: str = "linux-aarch64",
    installable: bool = False,
    digest: str = "",
    commit: str = "",
    index: Mapping[str, object] | None = None,
) -> Path:
    """Write ``<folder>/<subdir>/<name>-<version>-<build>.conda`` and return its path.

    ``installable`` adds the list that clients want, of the links, of a package that has no files;
    ``digest`` is what it says it was made from, and ``commit`` where; ``index`` is more of its
    index.json.
    """
    stem = f"{name}-{version}-{build}"
    target = folder / subdir / f"{stem}.conda"
    target.parent.mkdir(parents=True, exist_ok=True)
    told = {"name": name, "version": version, "build": build, "build_number": 0}
    told |= {"subdir": subdir, "depends": list(depends), "timestamp": 1_780_000_000_000}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        writer = CondaWriter(
            archive, stem, level=1, cores=1, seconds=1_780_000_000, rules=policy().seal
        )
        with writer.tar("pkg") as tar:
            for path, content in sorted((files or {}).items()):
                tar.add(path, (content,), len(content))
            for path, link in sorted((links or {}).items()):
                tar.add_link(path, link)
        with writer.tar("info") as tar:
            text = json.dumps({**told, **(index or {})}).encode()
            tar.add("info/index.json", (text,), len(text))
            if digest:
                text = json.dumps(
                    {"extra": {"armtorch": {"digest": digest}, "sha": commit}}
                ).encode()
                tar.add("info/about.json", (text,), len(text))
            if installable:
                rows = [
                    {"_path": path, "path_type": "softlink", "sha256": "0" * 64, "size_in_bytes": 0}
                    for path in sorted(links or {})
                ]
                text = json.dumps({"paths": rows, "paths_version": 1}).encode()
                tar.add("info/paths.json", (text,), len(text))
    return target

"""run_exports.json (CEP 12): what packages pass on to what is built against them.

rattler's indexer does not write it. A package is opened once, when its entry is not there yet;
of a remote one only the metadata part is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any, Final

import msgspec
from msgspec import Raw

from generator.channel.repodata import PACKAGES
from generator.channel.stores import Store
from generator.documents import load_json, read_info_file, split_json
from generator.errors import IntegrityError, MalformedError

FILE: Final = "run_exports.json"


def update_run_exports(
    store: Store, subdir: str, names: Iterable[str], fresh: Mapping[str, Path]
) -> None:
    """Bring a subdir's run_exports.json up to date with its packages.

    ``fresh`` are packages that have just been uploaded, by key, with their local files: these are
    read anew even if there is an entry of that name.
    Raises IntegrityError: a package has no readable metadata.
    """
    there = set(names)
    known: dict[str, Raw] = {}
    for key, path in fresh.items():
        if key.startswith(f"{subdir}/") and (name := key.split("/", 1)[1]) in there:
            with path.open("rb") as file:
                known[name] = _entry(file, name)

    def edit(content: bytes | None) -> bytes | None:
        before = _entries(content)
        entries = {name: row for name, row in before.items() if name in there} | known
        for name in sorted(there - entries.keys()):
            with store.open(f"{subdir}/{name}") as file:
                # kept: another publisher may make us edit again
                known[name] = entries[name] = _entry(file, name)
        if content is not None and entries == before:
            return None
        document = {
            "info": {"subdir": subdir, "version": 1},
            "packages": {},
            PACKAGES: dict(sorted(entries.items())),
        }
        return msgspec.json.encode(document)

    store.change(f"{subdir}/{FILE}", edit)


def _entries(content: bytes | None) -> dict[str, Raw]:
    """Return the entries of a run_exports.json as they are; none of one that is not usable."""
    try:
        document = split_json(content or b"{}", FILE)
        return split_json(document[PACKAGES], FILE) if PACKAGES in document else {}
    except MalformedError:
        return {}


def _entry(package: IO[bytes], name: str) -> Raw:
    return Raw(msgspec.json.encode({"run_exports": _run_exports(package, name)}))


def _run_exports(package: IO[bytes], name: str) -> dict[str, Any]:
    path = "info/run_exports.json"
    try:
        found = load_json(read_info_file(package, name, path) or b"{}", name)
    except MalformedError as error:  # also UnsafeArchiveError
        raise IntegrityError(
            f"its metadata cannot be read: {error.what}",
            where=name,
            next_step="build the package again and publish it with --force",
        ) from error
    if not isinstance(found, dict):
        raise IntegrityError(
            f"its {path} is not an object",
            where=name,
            next_step="build the package again and publish it with --force",
        )
    return found

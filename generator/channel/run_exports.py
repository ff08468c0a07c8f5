"""run_exports.json (CEP 12): what packages pass on to what is built against them.

rattler's indexer does not write it. A package is opened once, when its entry is not there yet;
of a remote one only the metadata part is read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from generator.channel.stores import Store
from generator.documents import load_json, read_info_file
from generator.errors import IntegrityError, MalformedError

FILE: Final = "run_exports.json"
_PACKAGES: Final = "packages.conda"


def update_run_exports(
    store: Store, subdir: str, names: Iterable[str], fresh: Mapping[str, Path]
) -> None:
    """Bring a subdir's run_exports.json up to date with its packages.

    ``fresh`` are packages that have just been uploaded, by key, with their local files: these are
    read anew even if there is an entry of that name.

    Raises:
        IntegrityError: a package has no readable metadata.

    """
    there = set(names)
    known: dict[str, Any] = {}
    for name in sorted(there):
        if (path := fresh.get(f"{subdir}/{name}")) is not None:
            with path.open("rb") as file:
                known[name] = {"run_exports": _run_exports(file, name)}

    def edit(content: bytes | None) -> bytes | None:
        before = _entries(content)
        entries = {name: row for name, row in before.items() if name in there} | known
        for name in sorted(there - entries.keys()):
            with store.open(f"{subdir}/{name}") as file:
                # kept: another publisher may make us edit again
                known[name] = entries[name] = {"run_exports": _run_exports(file, name)}
        if content is not None and entries == before:
            return None
        document = {
            "info": {"subdir": subdir, "version": 1},
            "packages": {},
            _PACKAGES: dict(sorted(entries.items())),
        }
        return json.dumps(document, separators=(",", ":")).encode()

    store.change(f"{subdir}/{FILE}", edit)


def _entries(content: bytes | None) -> dict[str, Any]:
    """Return the entries of a run_exports.json; none of one that is not usable."""
    try:
        document = load_json(content or b"{}", FILE)
    except MalformedError:
        return {}
    found = document.get(_PACKAGES) if isinstance(document, dict) else None
    return found if isinstance(found, dict) else {}


def _run_exports(package: Any, name: str) -> dict[str, Any]:
    """Read a package's info/run_exports.json; {} when it exports nothing."""
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

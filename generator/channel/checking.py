"""What a package file must be before it is indexed: rattler's indexer takes it on trust."""

from __future__ import annotations

import zipfile
from pathlib import Path

from rattler import IndexJson, MatchSpec
from rattler.exceptions import (
    ExtractError,
    InvalidMatchSpecError,
    InvalidPackageNameError,
    InvalidVersionError,
)

from generator.channel.repodata import as_record
from generator.documents import load_json, open_file, read_info_file
from generator.errors import IntegrityError, MalformedError, UnsafeArchiveError


def check_package(path: Path, subdir: str) -> None:
    """Compare a package's index.json with the name and the folder that it lies under.

    A client finds the file by its name and installs what index.json says (CEP 20): where they
    disagree, a record stands for another package than people asked for.
    Raises IntegrityError: it is damaged, or its name or its folder is another package's.
    """
    if path.is_symlink():
        raise IntegrityError(
            "a symbolic link, which rattler's indexer passes over",
            where=str(path),
            next_step="put the file itself there",
        )
    if not path.is_file() or not zipfile.is_zipfile(path):
        # rattler's indexer panics on these, without their name
        raise _damaged(path, "not a .conda file")
    try:
        with open_file(path) as file:
            # within limits, which rattler's reader does not know
            content = read_info_file(file, path.name, "info/index.json") or b"{}"
        found = load_json(content, path.name)
        if isinstance(found, dict):
            # what a client or armtorch could not read of the index, once it is in there
            found = {"subdir": subdir} | found | {"size": 0, "sha256": "0" * 64}
        as_record(found, path.name)
    except (MalformedError, UnsafeArchiveError, ValueError) as error:
        why = error if isinstance(error, ValueError) else error.what
        raise _damaged(path, f"its metadata cannot be read: {why}") from error
    try:
        index = IndexJson.from_package_archive(path)
        for spec in (*index.depends, *index.constrains):
            MatchSpec(spec)
    except (
        ExtractError,
        InvalidMatchSpecError,
        InvalidPackageNameError,
        InvalidVersionError,
    ) as error:
        raise _damaged(path, f"its metadata cannot be read: {error}".splitlines()[0]) from error
    if (index.subdir or subdir) != subdir:
        raise IntegrityError(
            f"it is for {index.subdir} and lies in {subdir}",
            where=str(path),
            next_step=f"move it to {index.subdir}",
        )
    stem = f"{index.name.source}-{index.version}-{index.build}"
    if path.name != f"{stem}.conda":
        raise IntegrityError(
            f"what it holds is {stem}",
            where=str(path),
            next_step="delete it, or give it the name of what it holds",
        )


def _damaged(path: Path, what: str) -> IntegrityError:
    return IntegrityError(
        what, where=str(path), next_step="delete it and run `armtorch build` again"
    )

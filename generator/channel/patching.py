"""Hotfixes: what the repodata says otherwise than the packages, kept as files in the repository.

Each file is one hotfix with its reason. Together with the packages' own records they give patch
instructions, in the format that conda-index and rattler's indexer apply (conda-index
``patch_instructions.json``, version 1); the same files and records give the same bytes.
"""

from __future__ import annotations

import fnmatch
import hashlib
import io
import json
import re
import tempfile
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field, TypeAdapter, ValidationError
from rattler import MatchSpec
from rattler.exceptions import InvalidMatchSpecError
from rattler_build import assemble_package

from generator.channel.repodata import Record
from generator.datafiles import describe
from generator.documents import (
    info_files,
    limits,
    load_json,
    load_yaml,
    read_bytes,
)
from generator.errors import ArmtorchError, FeedstockError, SelectionError
from generator.model.closed import Closed

#: where hotfixes lie in a feedstock
HOTFIXES: Final = ".ci/hotfixes"
#: name of the package that carries the instructions into the channel
PACKAGE: Final = "armtorch-repodata-patches"

#: a package that never is, by which conda-index makes a revoked build impossible to install
REVOKED: Final = "package_has_been_revoked"

#: a file of that package
_INSTRUCTIONS: Final = re.compile(r"[a-z0-9-]+/patch_instructions\.json")
_FILE_NAME = r"^[a-z0-9-]+/[A-Za-z0-9_][A-Za-z0-9_.+!-]*\.conda$"


@dataclass(frozen=True, kw_only=True)
class Requirements(Closed):
    """Changes to ``depends`` or ``constrains``."""

    #: exact old text -> new text
    replace: dict[str, str] = field(default_factory=dict)
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()

    def applied(self, before: Sequence[str]) -> tuple[str, ...]:
        """Return the requirements after the changes."""
        kept = [self.replace.get(spec, spec) for spec in before if spec not in self.remove]
        return (*kept, *(spec for spec in self.add if spec not in kept))

    @property
    def specs(self) -> tuple[str, ...]:
        """Every requirement that may come in."""
        return (*self.replace.values(), *self.add)


@dataclass(frozen=True, kw_only=True)
class Hotfix(Closed):
    """One file: which packages, what changes, and why."""

    reason: Annotated[str, Field(min_length=10)]
    #: a match spec over name, version and build: ``torchvision 0.25.0 cuda130*``
    match: str = ""
    #: glob over the subdir
    subdir: str = "*"
    depends: Requirements = field(default_factory=Requirements)
    constrains: Requirements = field(default_factory=Requirements)
    #: ``<subdir>/<file name>`` of builds that are marked removed; their files stay
    yank: tuple[Annotated[str, Field(pattern=_FILE_NAME)], ...] = ()
    #: name of the file
    name: str = ""

    def touches(self, record: Record) -> bool:
        """Whether the hotfix changes this record's requirements."""
        if not self.match or not fnmatch.fnmatchcase(record.subdir, self.subdir):
            return False
        return record.fits(MatchSpec(self.match))


def read_hotfixes(folder: Path) -> tuple[Hotfix, ...]:
    """Read every ``*.yaml`` in a folder, in the order of their names; () without the folder.

    Raises FeedstockError: a file cannot be used; the message names the key.
    """
    return tuple(_read(path) for path in sorted(folder.glob("*.yaml")))


def _read(path: Path) -> Hotfix:
    next_step = "see docs/publishing.md for the shape of a hotfix"
    try:
        raw = load_yaml(
            read_bytes(path, limits().yaml.bytes),
            str(path),
            refuse=FeedstockError,
            next_step=next_step,
        )
        hotfix = TypeAdapter(Hotfix).validate_python(raw)
        for text in (hotfix.match, *hotfix.depends.specs, *hotfix.constrains.specs):
            if text:
                MatchSpec(text)
    except (OSError, InvalidMatchSpecError) as error:
        raise FeedstockError(str(error), where=str(path), next_step=next_step) from error
    except ValidationError as error:
        raise FeedstockError(describe(error), where=str(path), next_step=next_step) from error
    return replace(hotfix, name=path.stem)


def yank_text(keys: Collection[str], reason: str) -> str:
    """Return a hotfix file that marks builds removed.

    Raises SelectionError: the reason is too short to tell anybody anything, or a key is none.
    """
    for key in keys:
        if re.fullmatch(_FILE_NAME, key) is None:
            raise SelectionError(
                "not the place of a package", where=key, next_step="write <subdir>/<file name>"
            )
    if len(reason) < 10:
        raise SelectionError(
            "too short to tell anybody why", where="--reason", next_step="write a sentence"
        )
    lines = [f"reason: {json.dumps(reason)}", "yank:", *(f"  - {key}" for key in sorted(keys))]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, kw_only=True)
class Instructions:
    """Patch instructions per subdir, for the packages that are there."""

    subdirs: dict[str, dict[str, Any]]

    @property
    def empty(self) -> bool:
        """Whether they change nothing."""
        return not any(rows["packages.conda"] or rows["remove"] for rows in self.subdirs.values())

    @property
    def file_name(self) -> str:
        """The name of the package that carries them, which follows from what they say."""
        digest = hashlib.sha256(json.dumps(self.subdirs, sort_keys=True).encode()).hexdigest()
        return f"{PACKAGE}-1-{digest[:16]}_0.conda"

    def package(self, folder: Path) -> Path:
        """Write that package into a folder; the same instructions give the same content."""
        with tempfile.TemporaryDirectory(dir=folder) as staging:
            for subdir, rows in self.subdirs.items():
                path = Path(staging, subdir, "patch_instructions.json")
                path.parent.mkdir()
                path.write_text(json.dumps(rows, indent=1, sort_keys=True), encoding="utf-8")
            return assemble_package(
                PACKAGE,
                "1",
                "noarch",
                self.file_name.removesuffix(".conda").rsplit("-", 1)[1],
                folder,
                files_dir=staging,
                noarch="generic",
                license="BSD-3-Clause",
                summary="Repodata patches of this channel; nothing to install",
                timestamp=datetime(2000, 1, 1, tzinfo=UTC),
                detect_prefix=False,
            ).path


def is_patches(path: Path) -> bool:
    """Whether a file of a channel is the package that instructions give, which is of no wheel.

    It is made anew from the instructions in it: whatever else it holds or says, it is not that.
    """
    if path.parent.name != "noarch" or not path.name.startswith(f"{PACKAGE}-1-"):
        return False
    try:
        content = read_bytes(path, limits().zip.text)
        held = info_files(io.BytesIO(content), path.name, part="pkg")
        if not all(_INSTRUCTIONS.fullmatch(name) for name in held):
            return False
        found = Instructions(
            subdirs={name.partition("/")[0]: load_json(held[name], name) for name in held}
        )
        with tempfile.TemporaryDirectory(prefix="armtorch-patches-") as folder:
            return (
                found.file_name == path.name and found.package(Path(folder)).read_bytes() == content
            )
    except (OSError, ArmtorchError):
        return False


def instructions(
    hotfixes: Sequence[Hotfix],
    records: Iterable[Record],
    *,
    subdirs: Iterable[str],
    withdrawn: Iterable[str] = (),
) -> Instructions:
    """Say what the hotfixes mean for these records.

    ``withdrawn`` are packages whose files are about to be deleted or replaced: clients must not
    see a record of them meanwhile.
    """
    rows: dict[str, dict[str, Any]] = {
        subdir: {"patch_instructions_version": 1, "packages": {}, "packages.conda": {}}
        | {"remove": [], "revoke": []}
        for subdir in sorted(set(subdirs))
    }
    removed = {key for hotfix in hotfixes for key in hotfix.yank} | set(withdrawn)
    for record in records:
        if record.subdir not in rows:
            continue
        if record.key in removed:
            # rattler lists it under "removed" and leaves the record, which older clients read:
            # conda-index's impossible dependency keeps them from taking it
            rows[record.subdir]["remove"].append(record.file_name)
            rows[record.subdir]["packages.conda"][record.file_name] = {
                "depends": [*record.depends, REVOKED]
            }
        elif change := _change(hotfixes, record):
            rows[record.subdir]["packages.conda"][record.file_name] = change
    for row in rows.values():
        row["remove"].sort()
    return Instructions(subdirs=rows)


def _change(hotfixes: Sequence[Hotfix], record: Record) -> dict[str, list[str]]:
    depends, constrains = record.depends, record.constrains
    for hotfix in hotfixes:
        if hotfix.touches(record):
            depends = hotfix.depends.applied(depends)
            constrains = hotfix.constrains.applied(constrains)
    changed = {}
    if depends != record.depends:
        changed["depends"] = list(depends)
    if constrains != record.constrains:
        changed["constrains"] = list(constrains)
    return changed

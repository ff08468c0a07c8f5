"""What clients of a channel see: brings index, patches and run exports up to its packages.

Every order of steps here keeps one promise: a record that a client can see has its file. So a
package comes before its record, and goes after it; where a file is replaced, its record is taken
out first.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from generator.channel.patching import PACKAGE, Hotfix, Instructions, instructions
from generator.channel.repodata import REPODATA, UNPATCHED, Record, Repodata
from generator.channel.run_exports import update_run_exports
from generator.channel.sidecars import attest, detach
from generator.channel.stores import Outgoing, Store, records, source_path
from generator.console import Narrator, Silent
from generator.errors import UnreachableError

#: how often packages of other publishers may change what the hotfixes mean
_ROUNDS: Final = 10


@dataclass(frozen=True, kw_only=True)
class Served:
    """A channel and the hotfixes that apply to it."""

    store: Store
    hotfixes: Sequence[Hotfix] = ()
    #: packages that were uploaded just now, by key, with their local files
    fresh: Mapping[str, Path] = field(default_factory=dict)
    #: attestations of packages, by key, that belong beside them
    bundles: Mapping[str, Path] = field(default_factory=dict)
    narrator: Narrator = field(default_factory=Silent)

    def index(self, *, withdrawn: Collection[str] = ()) -> None:
        """Index the channel; packages in ``withdrawn`` get no record.

        Raises UnreachableError, StorageError: the channel cannot be written. IntegrityError: a
        package in it is damaged.
        """
        for _ in range(_ROUNDS):
            applied = self._apply(self._compiled(withdrawn))
            if self._patch(self._compiled(withdrawn)) == applied:
                break
        else:
            raise UnreachableError(
                "other publishers kept changing it while it was indexed",
                next_step="publish again when they are done",
            )
        names: dict[str, list[str]] = {subdir: [] for subdir in self.store.subdirs()}
        for key in self.store.packages():
            subdir, name = key.split("/", 1)
            names.setdefault(subdir, []).append(name)
        for subdir, there in names.items():
            update_run_exports(self.store, subdir, there, self.fresh)

    def attest(self, keys: Collection[str]) -> None:
        """Put the attestations of packages that are there beside them, before they are indexed."""
        for key in sorted(self.bundles.keys() & set(keys)):
            attest(self.store, key, self.bundles[key].read_bytes())

    def withdraw(self, keys: Collection[str]) -> None:
        """Take records out of what clients see, so that their files can go or change."""
        if keys:
            self.index(withdrawn=keys)

    def forget(self, keys: Collection[str]) -> None:
        """Make the next index run read these packages anew; to be called when withdrawn."""
        detach(self.store, keys)
        for subdir in {key.split("/", 1)[0] for key in keys}:
            names = {key.split("/", 1)[1] for key in keys if key.startswith(f"{subdir}/")}
            path = source_path(self.store, subdir)

            def edit(
                content: bytes | None, names: set[str] = names, path: str = path
            ) -> bytes | None:
                return None if content is None else Repodata.parse(content, path).edited(names, {})

            self.store.change(path, edit)

    def _patch(self, found: Instructions) -> str | None:
        """Return the name of the patch package for the instructions, None where none is needed."""
        patched = any(self.store.has(f"{subdir}/{UNPATCHED}") for subdir in found.subdirs)
        return None if found.empty and not patched else found.file_name

    def _compiled(self, withdrawn: Collection[str]) -> Instructions:
        subdirs = self.store.subdirs()
        concerned = subdirs if self.hotfixes or withdrawn else ()
        return instructions(
            self.hotfixes,
            (
                each
                for subdir in concerned
                for each in records(self.store, subdir)
                if each.name != PACKAGE
            ),
            subdirs=subdirs,
            withdrawn=withdrawn,
        )

    def _apply(self, found: Instructions) -> str | None:
        """Index with these instructions; return the name of their package."""
        patch = self._patch(found)
        if patch is not None:
            for subdir in found.subdirs:
                self._seed(subdir)
            self._bring(found)
        if why := self.store.index(patch):
            self.narrator.say(f"indexed all of it, not what is new alone: {why}")
        return patch

    def _seed(self, subdir: str) -> None:
        """Give the indexer the unpatched records it would else open every package for."""
        plain = self.store.read(f"{subdir}/{REPODATA}")
        if plain is not None:
            self.store.change(
                f"{subdir}/{UNPATCHED}", lambda content: plain if content is None else None
            )

    def _bring(self, found: Instructions) -> None:
        """Put the package of these instructions, unless it is there byte for byte.

        Its name follows from what it says, so that others can know it before, and its name alone
        would have what they put there believed.
        """
        with tempfile.TemporaryDirectory(prefix="armtorch-patches-") as folder:
            path = found.package(Path(folder))
            record = _described(path)
            if not self._has(record.key, path.read_bytes()):
                self.store.put(
                    Outgoing(path=path, record=record), replace=True, advance=lambda _: None
                )

    def _has(self, key: str, content: bytes) -> bool:
        if not self.store.has(key):
            return False
        with self.store.open(key) as there:
            return there.read(len(content) + 1) == content


def _described(path: Path) -> Record:
    content = path.read_bytes()
    return Record(
        file_name=path.name,
        name=PACKAGE,
        version="1",
        build=path.stem.rsplit("-", 1)[1],
        build_number=0,
        subdir="noarch",
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )

"""``verify``: packages and what is known of them from outside, into proofs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from glob import glob
from pathlib import Path
from typing import Final

from generator.atomic import move
from generator.building import Expected
from generator.building.provenance import provenances
from generator.datafiles import subdirs
from generator.documents import open_file
from generator.errors import (
    AbsentError,
    ArmtorchError,
    IntegrityError,
    MalformedError,
    RefutedError,
    UnprovableError,
    UnwitnessedError,
)
from generator.feedstock import Feedstock
from generator.inspecting.limits import limits
from generator.inspecting.manifest import NAME as MANIFEST
from generator.inspecting.proof import Evidence, Flaw, Proof, Verdict
from generator.inspecting.read_wheel import RefusedError, Wheel
from generator.inspecting.verifying import json_object, verify_package
from generator.model import Variant
from generator.model.names import tells_number
from generator.model.provenance import Provenance
from generator.project import Project
from generator.rendering import OwnPackage, RenderedTree, own_package, render

#: how the files of packages end
PACKAGES: Final = (".conda", ".tar.bz2")


@dataclass(frozen=True, kw_only=True)
class VerifyOptions:
    """What the person who asks has at hand beside the lock."""

    wheels: tuple[Path, ...] = ()
    record_sha256: str | None = None
    #: address of the repository that packages have to state (``build --provenance``)
    provenance: str = ""


def find_packages(names: Sequence[str]) -> tuple[Path, ...]:
    """Return package files: those named, those that match a glob, those below folders.

    Raises AbsentError: a name stands for no package.
    """
    found: dict[Path, None] = {}
    for name in names:
        path = Path(name)
        if path.is_dir():
            matches = sorted(
                each for pattern in ("*.conda", "*.tar.bz2") for each in path.rglob(pattern)
            )
        else:
            # a glob from anywhere, also an absolute one, as a shell would take it
            matches = [path] if path.is_file() else [Path(each) for each in sorted(glob(name))]  # noqa: PTH207
        if not matches:
            raise AbsentError(
                "there is no package there",
                where=name,
                next_step="name .conda files or a channel folder; quote globs",
            )
        found |= dict.fromkeys(matches)
    return tuple(found)


def verify_packages(
    project: Project, packages: Sequence[Path], options: VerifyOptions
) -> Iterator[Proof]:
    """Prove each package; what is wrong with one is in its proof.

    Raises FeedstockError, LockError: the project's files are there and cannot be used.
    MalformedError: a wheel at hand is none. IntegrityError: a wheel at hand is not that of any
    package.
    """
    known = _Known(project, options)
    for package in packages:
        yield verify_package(package, partial(known.witness, package))
    if unused := [path for sha256, path in known.wheels.items() if sha256 not in known.used]:
        raise IntegrityError(
            "no package names this wheel as its source",
            where=unused[0].name,
            next_step="give the wheel that `source.purl` of info/armtorch/manifest.json names",
        )


@dataclass
class _Known:
    """The lock, the recipes and the wheels at hand."""

    project: Project
    options: VerifyOptions
    #: sha256 of wheels that a package named
    used: set[str] = field(default_factory=set)
    #: what the lock renders to the places of packages
    found: dict[Path, Expected] = field(default_factory=dict)

    def witness(self, package: Path, info: Mapping[str, bytes]) -> Evidence:
        """Return what is known of a package from outside of it."""
        if (expected := self._expected(package, info)) is not None:
            self.found[package] = expected
        source = json_object(info, MANIFEST).get("source")
        sha256 = str(source.get("sha256")) if isinstance(source, dict) else ""
        records, metadata = {}, None
        if sha256 in self.wheels:
            self.used.add(sha256)
            records["the wheel's"] = hashlib.sha256(self._record(self.wheels[sha256])).hexdigest()
        if self.options.record_sha256 is not None:
            records["the one given"] = self.options.record_sha256
        if expected is not None and expected.variant.wheels:
            wheel, own = expected.variant.wheels[0], self._own
            if own is not None and expected.variant == own.variant:
                records["armtorch's own"], metadata = wheel.record, own.metadata
            else:
                records["the lock's"] = wheel.record
                metadata = self.project.locked().metadata[wheel.metadata]
        return Evidence(expected=expected, records=records, metadata=metadata)

    @cached_property
    def wheels(self) -> dict[str, Path]:
        """The wheels at hand, by their sha256."""
        found = {}
        for path in self.options.wheels:
            with open_file(path) as file:
                found[hashlib.file_digest(file, "sha256").hexdigest()] = path
        return found

    def _record(self, path: Path) -> bytes:
        try:
            return Wheel(path, limits().wheel_ratio).record_bytes
        except RefusedError as error:
            raise MalformedError(str(error), where=path.name) from error

    def _expected(self, package: Path, info: Mapping[str, bytes]) -> Expected | None:
        """Return the package that the lock renders to this place.

        In a channel, whose folders are called as subdirs are, that is its label, its subdir and its
        name; of a file alone, its subdir is what it says.
        """
        folder = package.absolute().parent
        placed = folder.name in {*subdirs(), "noarch"}
        subdir = folder.name if placed else json_object(info, "info/index.json").get("subdir")
        label = folder.parent.name if folder.parent.parent.name == "label" else ""
        found = [
            self._made(variant)
            for variant in self._by_release.get(package.name.rpartition("-")[0], ())
            if variant.subdir == subdir
            and (not placed or self._feedstock.label(variant.train) == label)
        ]
        named = [each for each in found if each.file_name == package.name]
        # two candidates of a release can have one name
        for each in named:
            if each.variant.digest == _digest(info):
                return each
        if not named or _is_of_another(package, info, named[0].variant.build_number):
            return None
        return named[0]

    def in_its_place(self, proof: Proof, path: Path, channel: Path) -> Proof:
        """Refute what is sound and lies where another channel or nobody would look for it."""
        if proof.verdict != "proven":
            return proof
        variant = self.found[path].variant
        label = self._feedstock.label(variant.train)
        place = Path(*(("label", label) if label else ()), variant.subdir, path.name)
        if path == channel / place:
            return proof
        flaw = Flaw(path.name, f"lies in {path.parent.relative_to(channel)}, its place is {place}")
        return replace(proof, verdict="refuted", flaws=(flaw,))

    def _made(self, variant: Variant) -> Expected:
        if variant.id not in self._cache:
            assert self._tree is not None  # noqa: S101 - it gave the variant
            folder = variant.recipe_path.rpartition("/")[0] + "/"
            recipe = {
                path.removeprefix(folder): content
                for path, content in self._tree.files.items()
                if path.startswith(folder)
            }
            self._cache[variant.id] = Expected.of(
                variant,
                recipe,
                self._tree.files[variant.config_path],
                self._provenances.get(variant.id),
            )
        return self._cache[variant.id]

    @cached_property
    def _cache(self) -> dict[str, Expected]:
        return {}

    @cached_property
    def _feedstock(self) -> Feedstock:
        return self.project.declared()

    @cached_property
    def _tree(self) -> RenderedTree | None:
        lock = self.project.locked()
        if not lock.cells or not self.project.feedstock.is_file():
            return None
        return render(self._feedstock, lock)

    @property
    def variants(self) -> tuple[Variant, ...]:
        """The lock's variants, each after those it depends on."""
        return self._tree.variants if self._tree is not None else ()

    @cached_property
    def by_id(self) -> Mapping[str, Variant]:
        """The lock's variants by their ids."""
        return {variant.id: variant for variant in self.variants}

    @cached_property
    def _by_release(self) -> dict[str, list[Variant]]:
        """The lock's variants by ``<name>-<version>``."""
        found: dict[str, list[Variant]] = {}
        own = () if self._own is None else (self._own.variant,)
        for variant in (*self.variants, *own):
            found.setdefault(f"{variant.package}-{variant.version}", []).append(variant)
        return found

    @cached_property
    def _own(self) -> OwnPackage | None:
        """What the armtorch that runs puts on a channel as itself."""
        if self._tree is None:
            return None
        own = own_package(self._feedstock, self.project.locked())
        if own is not None:
            config = own.files[own.variant.config_path]
            self._cache[own.variant.id] = Expected.of(own.variant, own.recipe, config)
        return own

    @cached_property
    def _provenances(self) -> Mapping[str, Provenance]:
        if not self.options.provenance or self._tree is None:
            return {}
        lock, url = self.project.locked(), self.options.provenance
        return provenances(self.project, lock, self._tree.variants, url)


def _is_of_another(package: Path, info: Mapping[str, bytes], number: int) -> bool:
    """Whether a package is of a lock before or after this, which its name has no place to say."""
    build = package.name.removesuffix(".conda").rpartition("-")[2]
    return (
        not tells_number(build, number)
        and json_object(info, "info/index.json").get("build_number") != number
    )


def _digest(info: Mapping[str, bytes]) -> str:
    extra = json_object(info, "info/about.json").get("extra")
    ours = extra.get("armtorch") if isinstance(extra, dict) else None
    return str(ours.get("digest")) if isinstance(ours, dict) else ""


def set_aside(
    project: Project,
    channel: Path,
    options: VerifyOptions,
    folder: Path,
    *,
    artifacts: Path | None = None,
) -> tuple[Proof, ...]:
    """Move out of a channel folder what is not proven, and what cannot be installed without it.

    Whatever else lies there goes, too, an index among it: it is about other packages.
    Nothing in ``channel`` is trusted, its names included. Packages keep their places in ``folder``.
    ``artifacts`` has one folder per job, whose packages are first moved to their places in the
    channel. Where jobs gave different files for one place the proven one gets it, so that no job
    can take the place of another's package, and the others are set aside. Returned are the proofs
    of all of them; of a package that is sound and goes with one that is not, a note says with
    which.
    Raises FeedstockError, LockError: the project's files cannot be used. StorageError: a package
    cannot be moved.
    """
    outdone: tuple[Proof, ...] = ()
    if artifacts is not None:
        outdone = tuple(_gather(artifacts, channel, folder, _Known(project, options)))
    known = _Known(project, options)
    there = list(what_lies_in(channel))
    packages = [path for path in sorted(there) if path.name.endswith(PACKAGES)]
    proofs = {path: known.in_its_place(_prove(path, known), path, channel) for path in packages}
    sound = {
        known.found[path].variant.id: path
        for path, proof in proofs.items()
        if proof.verdict == "proven"
    }
    refused = {
        expected.variant.id
        for path, expected in known.found.items()
        if proofs[path].verdict != "proven"
    } - sound.keys()
    for variant in known.variants:  # each after those it depends on
        if variant.id in sound and (lost := _lost(variant, refused, known)):
            refused.add(variant.id)
            path = sound.pop(variant.id)
            note = f"set aside with {lost}, which it needs"
            proofs[path] = replace(proofs[path], notes=(*proofs[path].notes, note))
    kept = set(sound.values())
    for path in there:
        if path not in kept:
            move(path, folder / path.relative_to(channel))
    return (*outdone, *proofs.values())


def _gather(artifacts: Path, channel: Path, folder: Path, known: _Known) -> Iterator[Proof]:
    """Put packages into their places, and yield the proofs of those that another one outdid."""
    candidates: dict[Path, list[Path]] = {}
    for path in sorted(what_lies_in(artifacts)):
        if path.name.endswith(PACKAGES):
            candidates.setdefault(channel / place_in_channel(path), []).append(path)
    for place, found in candidates.items():
        proofs = {path: _prove(path, known) for path in found[1:] and found}
        proven = [path for path, proof in proofs.items() if proof.verdict == "proven"]
        chosen = (proven or found)[0]
        move(chosen, place)
        for path, proof in proofs.items():
            if path != chosen and path not in proven:
                move(path, folder / path.relative_to(artifacts))
                yield proof


def place_in_channel(package: Path) -> Path:
    """Return where a package lies in its channel, by the folders it lies in: subdir and label."""
    labelled = package.parts[-4:-3] == ("label",)
    return Path(*package.parts[-4 if labelled else -2 :])


def what_lies_in(channel: Path) -> Iterator[Path]:
    """Yield files and links, and folders that have a package's name: they are looked at as one."""
    for at, folders, files in os.walk(channel):
        whole = [name for name in folders if name.endswith(PACKAGES) or Path(at, name).is_symlink()]
        folders[:] = [name for name in folders if name not in whole]
        yield from (Path(at, name) for name in (*files, *whole))


def _prove(path: Path, known: _Known) -> Proof:
    if path.is_symlink() or not path.is_file():
        flaw = Flaw(path.name, "is a link, or no file at all")
        return Proof(package=path.name, verdict="refuted", flaws=(flaw,))
    return verify_package(path, partial(known.witness, path))


def _lost(variant: Variant, refused: Collection[str], known: _Known) -> str:
    """Return a package that is needed and of which every build was refused; "" for none."""
    packages: dict[str, list[str]] = {}
    for needed in variant.depends:
        packages.setdefault(known.by_id[needed].package, []).append(needed)
    return next((name for name, ids in packages.items() if set(ids) <= set(refused)), "")


def raise_for(proofs: Sequence[Proof]) -> None:
    """Raise the error of the worst verdict, if it is one.

    Raises RefutedError: a package is not what it says. UnprovableError: one carries nothing to
    prove it by. UnwitnessedError: one fits together, and nothing from outside was at hand.
    """
    kinds: tuple[tuple[Verdict, type[ArmtorchError], str], ...] = (
        ("refuted", RefutedError, "do not install it; build it again, or get it again"),
        ("not provable", UnprovableError, "ask for packages that carry armtorch's manifest"),
        (
            "self-consistent",
            UnwitnessedError,
            "run it beside the feedstock.lock.yaml that they were built from",
        ),
    )
    for verdict, error, next_step in kinds:
        if found := [proof.package for proof in proofs if proof.verdict == verdict]:
            more = f" and {len(found) - 1} more" if len(found) > 1 else ""
            raise error(f"{verdict}{more}", where=found[0], next_step=next_step)

"""``verify``: packages and what is known of them from outside, into proofs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from glob import glob
from pathlib import Path
from typing import Any

from generator.building import expected_metadata
from generator.errors import (
    AbsentError,
    ArmtorchError,
    BuildError,
    IntegrityError,
    RefutedError,
    UnprovableError,
    UnwitnessedError,
)
from generator.inspecting import Evidence, Manifest, Proof, Verdict, verify_package
from generator.model import Lock, Wheel
from generator.rendering import RenderedTree, render
from generator.stages.project import Project


@dataclass(frozen=True, kw_only=True)
class VerifyOptions:
    """What the person who asks has at hand beside the lock."""

    wheels: tuple[Path, ...] = ()
    record_sha256: str | None = None


def find_packages(names: Sequence[str]) -> tuple[Path, ...]:
    """Return package files: those named, those that match a glob, those below folders.

    Raises:
        AbsentError: a name stands for no package.

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

    Raises:
        FeedstockError, LockError: the project's files are there and cannot be used.
        IntegrityError: a wheel at hand is not that of any package.

    """
    known = _Known(project, options)
    for path in packages:
        yield verify_package(path, known.witness)
    if unused := [wheel.name for wheel in options.wheels if wheel.name not in known.used]:
        raise IntegrityError(
            "no package names this wheel as its source",
            where=unused[0],
            next_step="give the wheel that `source.purl` of info/armtorch/manifest.json names",
        )


@dataclass
class _Known:
    """The lock, the recipes and the wheels at hand."""

    project: Project
    options: VerifyOptions
    #: file names of wheels that a package named
    used: set[str] = field(default_factory=set)

    def witness(self, manifest: Manifest | None, info: Mapping[str, bytes]) -> Evidence:
        """Return what is known of a package from outside of it."""
        digest, name = _digest(info), _stem(_json(info, "info/index.json"))
        recipe = self._recipes.get(digest)
        metadata = self._metadata(digest, name) if recipe is not None else None
        if manifest is None:
            return Evidence(recipe=recipe, metadata=metadata)
        locked = self._wheels.get(manifest.source.sha256)
        given = {path.name: path for path in self.options.wheels}
        wheel = given.get(manifest.source.purl.rpartition("file_name=")[2])
        if wheel is not None:
            self.used.add(wheel.name)
        record = self.options.record_sha256
        return Evidence(
            wheel=wheel,
            record_sha256=record or (locked.record if locked is not None else None),
            wheel_sha256=locked.sha256 if locked is not None else None,
            wheel_size=locked.size if locked is not None else None,
            purl=locked.purl if locked is not None else None,
            recipe=recipe,
            metadata=metadata,
        )

    @cached_property
    def _lock(self) -> Lock:
        return self.project.locked()

    @cached_property
    def _wheels(self) -> dict[str, Wheel]:
        return {wheel.sha256: wheel for cell in self._lock.cells for wheel in cell.wheels}

    @cached_property
    def _tree(self) -> RenderedTree | None:
        if not self._lock.cells or not self.project.feedstock.is_file():
            return None
        return render(self.project.declared(), self._lock)

    @cached_property
    def _folders(self) -> dict[str, str]:
        """Digest -> folder of the recipe, for the recipes as they are rendered now."""
        return {
            each.digest: each.recipe_path.rpartition("/")[0]
            for each in (self._tree.variants if self._tree is not None else ())
        }

    @cached_property
    def _recipes(self) -> dict[str, dict[str, bytes]]:
        """Digest -> the files of its recipe folder by name."""
        return {
            digest: {
                path.removeprefix(f"{folder}/"): content
                for path, content in self._tree.files.items()
                if path.startswith(f"{folder}/")
            }
            for digest, folder in self._folders.items()
            if self._tree is not None
        }

    def _metadata(self, digest: str, name: str) -> Mapping[str, Mapping[str, object]] | None:
        """Return what rattler-build makes of the recipe for the variant of that file name."""
        for variant in self._tree.variants if self._tree is not None else ():
            if variant.digest == digest:
                try:
                    found = expected_metadata(variant, self.project.tree)
                except BuildError:  # the recipe on disk is not as rendered
                    return None
                if _stem(found["info/index.json"]) == name:
                    return found
        return None


def _digest(info: Mapping[str, bytes]) -> str:
    extra = _json(info, "info/about.json").get("extra")
    ours = extra.get("armtorch") if isinstance(extra, dict) else None
    return str(ours.get("digest")) if isinstance(ours, dict) else ""


def _stem(index: Mapping[str, object]) -> str:
    return "-".join(str(index.get(key)) for key in ("name", "version", "build"))


def _json(info: Mapping[str, bytes], file: str) -> dict[str, Any]:
    try:
        value = json.loads(info.get(file, b"null"))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def raise_for(proofs: Sequence[Proof]) -> None:
    """Raise the error of the worst verdict, if it is one.

    Raises:
        RefutedError: a package is not what it says.
        UnprovableError: one carries nothing to prove it by.
        UnwitnessedError: one fits together, and nothing from outside was at hand.

    """
    kinds: tuple[tuple[Verdict, type[ArmtorchError], str], ...] = (
        ("refuted", RefutedError, "do not install it; build it again, or get it again"),
        ("not provable", UnprovableError, "ask for packages that carry armtorch's manifest"),
        (
            "self-consistent",
            UnwitnessedError,
            "run it beside the feedstock.lock.yaml, or give --wheel or --record-sha256",
        ),
    )
    for verdict, error, next_step in kinds:
        if found := [proof.package for proof in proofs if proof.verdict == verdict]:
            more = f" and {len(found) - 1} more" if len(found) > 1 else ""
            raise error(f"{verdict}{more}", where=found[0], next_step=next_step)

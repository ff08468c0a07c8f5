"""Decides before any work which variants the channel already has with the same inputs (D8)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rattler_build import RenderedVariant

from generator.building.archive import read_info, read_json
from generator.building.recipe import Inputs, file_name_of, render
from generator.building.report import Row, Status
from generator.errors import ArmtorchError, BuildError
from generator.model import Variant
from generator.model.names import tells_number
from generator.model.provenance import Provenance, provenance_of


class Destination(Protocol):
    """The channel, as far as building needs it."""

    def prepare(self) -> None:
        """Raise StorageError now if packages could not be put there later."""

    def find(self, subdir: str, file_name: str) -> Path | None:
        """Return the package of that name, if the channel has it."""

    def sha256(self, subdir: str, file_name: str) -> str:
        """Return the sha256 of a package that the channel has."""

    def place(self, package: Path, subdir: str, *, replace: bool) -> Path:
        """Move a finished package there; refuse to replace other bytes unless told to."""


@dataclass(frozen=True)
class ToBuild:
    """A variant that is to be built."""

    variant: Variant
    #: ``<name>-<version>-<build>.conda``
    file_name: str
    #: what the channel has under this name: from the same inputs with another provenance, or forced
    replaces: bool = False

    @property
    def id(self) -> str:
        """The variant's."""
        return self.variant.id

    def weight(self) -> tuple[bool, int, str]:
        """Sort key: what all Pythons share first, then by the size of the wheels."""
        variant = self.variant
        large = -sum(wheel.size for wheel in variant.wheels)
        return (variant.python is not None or not variant.wheels, large, variant.id)

    def row(self, status: Status, **facts: Any) -> Row:
        """Return the variant's row of the report."""
        return _row(self.variant, status, file_name=self.file_name, **facts)


def plan(
    variant: Variant,
    *,
    repo: Path,
    channel: Destination,
    force: bool,
    provenance: Provenance | None = None,
) -> ToBuild | Row:
    """Return what to build, or the row of a variant that needs or allows no work."""
    try:
        rendered = render(Inputs.of(variant, repo))
        name = file_name_of(rendered)
        here = channel.find(variant.subdir, name)
        if here is None or force:
            return ToBuild(variant, name, replaces=force)
        extra = _extra(here)
        # a build string without a number: the one that is there stays, whatever is rendered now
        if tells_number(rendered.recipe.build.string, rendered.recipe.build.number):
            _refuse_other_inputs(here, extra, digest_of(rendered))
        if provenance not in {None, provenance_of(extra)}:
            return ToBuild(variant, name, replaces=True)
    except ArmtorchError as error:
        return _row(variant, "failed", error=error)
    return _row(
        variant,
        "skipped",
        file_name=name,
        size=here.stat().st_size,
        sha256=channel.sha256(variant.subdir, name),
    )


def file_name(variant: Variant, repo: Path) -> str:
    """Return the name of a variant's package; raises BuildError as rendering does."""
    return file_name_of(render(Inputs.of(variant, repo)))


def digest_of(rendered: RenderedVariant) -> str:
    """Return the digest of its inputs that the recipe states, as it will be in the package."""
    extra: dict[str, Any] = rendered.recipe.to_dict().get("extra", {})
    return str(extra.get("armtorch", {}).get("digest", ""))


def _extra(package: Path) -> dict[str, Any]:
    """Return about.json's `extra`, which states what a package was made from."""
    about = read_json(read_info(package), "info/about.json", package)
    found: dict[str, Any] = about.get("extra", {})
    return found


def _refuse_other_inputs(package: Path, extra: dict[str, Any], digest: str) -> None:
    found = str(extra.get("armtorch", {}).get("digest", ""))
    if not digest or found != digest:
        raise BuildError(
            f"the channel has a package of this name that was made from other inputs "
            f"(digest {found[:12] or 'none'}, now {digest[:12] or 'none'}); clients cache packages "
            "by file name and would not see the change",
            where=str(package),
            next_step="`armtorch render --renumber` raises the build number of what changed; "
            "where this package was never published, delete the old channel folder, "
            "or replace it with `armtorch build --force`",
        )


def _row(variant: Variant, status: Status, **facts: Any) -> Row:
    wheels = {wheel.sha256: wheel.size for wheel in variant.wheels}
    return Row(id=variant.id, subdir=variant.subdir, status=status, wheels=wheels, **facts)

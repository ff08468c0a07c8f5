"""What a build did: one row per variant, and the bytes it saves against the wheels."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from generator.errors import ArmtorchError, BuildError
from generator.model import RaisedFloor

Status = Literal["built", "skipped", "failed"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """What became of one variant."""

    id: str
    subdir: str
    status: Status
    #: name of the package on the channel; "" when the recipe could not be rendered
    file_name: str = ""
    #: bytes of the package
    size: int = 0
    sha256: str = ""
    #: wall clock
    seconds: float = 0.0
    #: processor time of the worker and the programs it ran
    cpu_seconds: float = 0.0
    #: sha256 -> bytes of the upstream wheels that the package is made from
    wheels: dict[str, int] = field(default_factory=dict)
    #: what the linkage check wants a person to know
    warnings: tuple[str, ...] = ()
    #: where the package asks for a newer system than its recipe
    floor: RaisedFloor | None = None
    error: ArmtorchError | None = None

    @property
    def wheel_bytes(self) -> int:
        """Bytes of the wheels, each counted whole."""
        return sum(self.wheels.values())

    def to_json(self) -> dict[str, Any]:
        """Return the row for ``--json``."""
        error = self.error
        return {
            "id": self.id,
            "subdir": self.subdir,
            "status": self.status,
            "file": self.file_name,
            "size": self.size,
            "sha256": self.sha256,
            "seconds": round(self.seconds, 3),
            "cpu_seconds": round(self.cpu_seconds, 3),
            "wheel_bytes": self.wheel_bytes,
            "warnings": list(self.warnings),
            "raised_floor": None if self.floor is None else asdict(self.floor),
            "error": None
            if error is None
            else {
                "kind": error.kind,
                "what": error.what,
                "where": error.where,
                "next": error.next_step,
            },
        }


@dataclass(frozen=True)
class Savings:
    """Bytes on the channel against bytes of the wheels they replace."""

    packages: int
    wheels: int

    @property
    def ratio(self) -> float:
        """Packages over wheels; 0 without wheels."""
        return self.packages / self.wheels if self.wheels else 0.0


@dataclass(frozen=True)
class BuildReport:
    """All rows of a run, in the order the variants were given."""

    rows: tuple[Row, ...]

    @property
    def failed(self) -> tuple[Row, ...]:
        """Return the rows without a package."""
        return tuple(row for row in self.rows if row.status == "failed")

    @property
    def built(self) -> tuple[Row, ...]:
        """Return the rows whose package is new."""
        return tuple(row for row in self.rows if row.status == "built")

    def savings(self) -> Savings:
        """Compare the packages with their wheels, each file counted once."""
        packages = {(row.subdir, row.file_name): row.size for row in self.rows}
        wheels = {sha256: size for row in self.rows for sha256, size in row.wheels.items()}
        return Savings(sum(packages.values()), sum(wheels.values()))

    def to_json(self) -> dict[str, Any]:
        """Return the report for ``--json``."""
        savings = self.savings()
        return {
            "variants": [row.to_json() for row in self.rows],
            "package_bytes": savings.packages,
            "wheel_bytes": savings.wheels,
            "ratio": round(savings.ratio, 4),
        }

    def raise_for_failures(self) -> None:
        """Raise what failed: the error itself when there is one, else one of all of them.

        It has the exit code of their kind when they are of one kind.
        """
        if len(self.failed) == 1 and self.failed[0].error is not None:
            raise self.failed[0].error
        if self.failed:
            lines = "\n".join(f"  {row.id}: {row.error}" for row in self.failed)
            kinds = {type(row.error) for row in self.failed if row.error is not None}
            kind = kinds.pop() if len(kinds) == 1 else BuildError
            raise kind(
                f"{len(self.failed)} of {len(self.rows)} variants failed:\n{lines}",
                next_step="mend the first one; the others were built and are kept",
            )

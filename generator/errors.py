"""The one family of errors: each kind has an exit code, facts as attributes and a next step.

Absent, unreachable and malformed are three different outcomes everywhere (decision D7): "it is not
there" is a fact about upstream, "it did not answer" is a fact about now, "it makes no sense" is a
fact about what was sent. None of them is ever turned into another.
"""

from __future__ import annotations

from typing import ClassVar


class ArmtorchError(Exception):
    """Base of every error armtorch raises on purpose.

    Attributes:
        what: what was found.
        where: the file, URL, cell or member it was found in.
        next_step: what the reader can do about it.

    """

    exit_code: ClassVar[int] = 1
    #: a stable word for ``--json`` output
    kind: ClassVar[str] = "error"

    def __init_subclass__(cls, exit_code: int | None = None, kind: str | None = None) -> None:
        cls.exit_code = cls.exit_code if exit_code is None else exit_code
        cls.kind = cls.kind if kind is None else kind

    def __init__(self, what: str, *, where: str = "", next_step: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.next_step = next_step

    def __reduce__(self) -> tuple[object, ...]:
        # errors travel from worker processes: keyword-only arguments need this to be pickled
        return (_rebuild, (type(self), self.what, self.where, self.next_step))

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}\n  next: {self.next_step}" if self.next_step else text


def _rebuild(kind: type[ArmtorchError], what: str, where: str, next_step: str) -> ArmtorchError:
    return kind(what, where=where, next_step=next_step)


class StaleError(ArmtorchError, exit_code=1, kind="stale"):
    """Generated files differ from what would be generated (``render --check``)."""


class FeedstockError(ArmtorchError, exit_code=3, kind="feedstock"):
    """feedstock.yaml cannot be used: unknown key, wrong type, unknown value."""


class LockError(ArmtorchError, exit_code=4, kind="lock"):
    """feedstock.lock.yaml cannot be used: edited by hand, newer schema, not parsable."""


class DataError(ArmtorchError, exit_code=5, kind="data"):
    """A data file of armtorch itself is inconsistent; the message names the row."""


class UnknownError(DataError, exit_code=6, kind="unknown"):
    """Upstream has something that no row of a data file speaks of: it costs that release."""


class DependencyError(UnknownError, exit_code=7, kind="dependency"):
    """A requirement is not known by any conda name."""


class AbsentError(ArmtorchError, exit_code=10, kind="absent"):
    """Upstream answered, and what was asked for is not there."""


class UnreachableError(ArmtorchError, exit_code=11, kind="unreachable"):
    """Upstream did not answer, or answered 429/5xx until the retries ran out."""


class MalformedError(ArmtorchError, exit_code=12, kind="malformed"):
    """Upstream answered something that breaks its own format."""


class CudaLineError(MalformedError, exit_code=8, kind="cuda"):
    """A wheel is for CUDA, and for no line of it that is known."""


class IntegrityError(ArmtorchError, exit_code=13, kind="integrity"):
    """Bytes do not have the sha256 or the size that was promised for them."""


class UnsafeArchiveError(MalformedError, exit_code=14, kind="unsafe-archive"):
    """An archive that would write outside its folder, or unpack to more than it may."""


class NoTrioError(ArmtorchError, exit_code=15, kind="no-trio"):
    """No torchvision or torchaudio belongs to this torch."""


class RefutedError(ArmtorchError, exit_code=16, kind="refuted"):
    """A package is not what it says of itself, or not made of upstream's bytes."""


class UnprovableError(ArmtorchError, exit_code=17, kind="unprovable"):
    """A package carries no account of where its files come from."""


class UnwitnessedError(ArmtorchError, exit_code=18, kind="unwitnessed"):
    """A package fits together, and nothing from outside of it was at hand to compare it with."""


class HeldError(ArmtorchError, exit_code=19, kind="held"):
    """Something of upstream's is held back (``--strict``), or nothing but that is left."""


class RenderError(ArmtorchError, exit_code=20, kind="render"):
    """A rendered file is not what its schema or rattler-build accepts."""


class BuildError(ArmtorchError, exit_code=21, kind="build"):
    """rattler-build refused or failed to build a variant."""


class LinkageError(ArmtorchError, exit_code=22, kind="linkage"):
    """A binary is for another machine, or needs a library nobody provides."""


class TestError(ArmtorchError, exit_code=23, kind="test"):
    """A built package does not install, or its tests fail."""

    __test__ = False  # not a pytest class


class SolveError(ArmtorchError, exit_code=24, kind="solve"):
    """The solver finds no environment for a request."""


class StorageError(ArmtorchError, exit_code=30, kind="storage"):
    """No disk space, or a folder that cannot be written."""


class SelectionError(ArmtorchError, exit_code=31, kind="selection"):
    """A glob or option selects nothing, or names something that does not exist."""


class MissingToolError(ArmtorchError, exit_code=32, kind="missing-tool"):
    """A program that this step needs is not on the machine (an emulator, for example)."""


class ConflictError(ArmtorchError, exit_code=33, kind="conflict"):
    """A destination has other bytes under the name of a package that is to be published."""


class BudgetError(ArmtorchError, exit_code=34, kind="budget"):
    """A destination would hold more bytes than its budget or its host allows."""


class DeclinedError(ArmtorchError, exit_code=35, kind="refused"):
    """A destination answered, and said no: credentials, quota, or a package it does not take."""

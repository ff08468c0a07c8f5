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


class StaleError(ArmtorchError):
    """Generated files differ from what would be generated (``render --check``)."""

    exit_code = 1
    kind = "stale"


class FeedstockError(ArmtorchError):
    """feedstock.yaml cannot be used: unknown key, wrong type, unknown value."""

    exit_code = 3
    kind = "feedstock"


class LockError(ArmtorchError):
    """feedstock.lock.yaml cannot be used: edited by hand, newer schema, not parsable."""

    exit_code = 4
    kind = "lock"


class DataError(ArmtorchError):
    """A data file of armtorch itself is inconsistent; the message names the row."""

    exit_code = 5
    kind = "data"


class UnknownError(DataError):
    """Upstream has something that no row of a data file speaks of: it costs that release."""

    exit_code = 6
    kind = "unknown"


class DependencyError(UnknownError):
    """A requirement is not known by any conda name."""

    exit_code = 7
    kind = "dependency"


class AbsentError(ArmtorchError):
    """Upstream answered, and what was asked for is not there."""

    exit_code = 10
    kind = "absent"


class UnreachableError(ArmtorchError):
    """Upstream did not answer, or answered 429/5xx until the retries ran out."""

    exit_code = 11
    kind = "unreachable"


class MalformedError(ArmtorchError):
    """Upstream answered something that breaks its own format."""

    exit_code = 12
    kind = "malformed"


class CudaLineError(MalformedError):
    """A wheel is for CUDA, and for no line of it that is known."""

    exit_code = 8
    kind = "cuda"


class IntegrityError(ArmtorchError):
    """Bytes do not have the sha256 or the size that was promised for them."""

    exit_code = 13
    kind = "integrity"


class UnsafeArchiveError(MalformedError):
    """An archive that would write outside its folder, or unpack to more than it may."""

    exit_code = 14
    kind = "unsafe-archive"


class NoTrioError(ArmtorchError):
    """No torchvision or torchaudio belongs to this torch."""

    exit_code = 15
    kind = "no-trio"


class RefutedError(ArmtorchError):
    """A package is not what it says of itself, or not made of upstream's bytes."""

    exit_code = 16
    kind = "refuted"


class UnprovableError(ArmtorchError):
    """A package carries no account of where its files come from."""

    exit_code = 17
    kind = "unprovable"


class UnwitnessedError(ArmtorchError):
    """A package fits together, and nothing from outside of it was at hand to compare it with."""

    exit_code = 18
    kind = "unwitnessed"


class HeldError(ArmtorchError):
    """Something of upstream's is held back (``--strict``), or nothing but that is left."""

    exit_code = 19
    kind = "held"


class RenderError(ArmtorchError):
    """A rendered file is not what its schema or rattler-build accepts."""

    exit_code = 20
    kind = "render"


class BuildError(ArmtorchError):
    """rattler-build refused or failed to build a variant."""

    exit_code = 21
    kind = "build"


class LinkageError(ArmtorchError):
    """A binary is for another machine, or needs a library nobody provides."""

    exit_code = 22
    kind = "linkage"


class TestError(ArmtorchError):
    """A built package does not install, or its tests fail."""

    __test__ = False  # not a pytest class
    exit_code = 23
    kind = "test"


class SolveError(ArmtorchError):
    """The solver finds no environment for a request."""

    exit_code = 24
    kind = "solve"


class StorageError(ArmtorchError):
    """No disk space, or a folder that cannot be written."""

    exit_code = 30
    kind = "storage"


class SelectionError(ArmtorchError):
    """A glob or option selects nothing, or names something that does not exist."""

    exit_code = 31
    kind = "selection"


class MissingToolError(ArmtorchError):
    """A program that this step needs is not on the machine (an emulator, for example)."""

    exit_code = 32
    kind = "missing-tool"


class ConflictError(ArmtorchError):
    """A destination has other bytes under the name of a package that is to be published."""

    exit_code = 33
    kind = "conflict"


class BudgetError(ArmtorchError):
    """A destination would hold more bytes than its budget or its host allows."""

    exit_code = 34
    kind = "budget"


class DeclinedError(ArmtorchError):
    """A destination answered, and said no: credentials, quota, or a package it does not take."""

    exit_code = 35
    kind = "refused"

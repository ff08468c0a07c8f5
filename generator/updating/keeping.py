"""What a run of update has so far, and what it takes over from the old lock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from packaging.version import Version

from generator.errors import AbsentError, ArmtorchError, UnreachableError
from generator.model.cell import AbsenceReason, Cell, CellAbsence, HeldCell, Lock
from generator.model.wheel import Metadata
from generator.packages import is_companion
from generator.updating.drafts import Draft
from generator.updating.judging import finding_of
from generator.updating.wishes import EVERY_LINE, Wish
from generator.upstream.reading import OfferKey
from generator.upstream.silence import Silence
from generator.upstream.unhashed import Obtain

_UNANSWERED: Final = "an index of the train did not answer when the lock was made"
_UNASKED: Final = "an index of the train was not asked when the lock was made"


@dataclass(kw_only=True)
class Run:
    """What accumulates while wishes are worked off."""

    old: Lock
    #: the day (UTC), ISO 8601
    today: str
    obtain: Obtain
    #: lines of their own
    named: frozenset[str]
    cells: dict[tuple[str, str, str], Cell] = field(default_factory=dict)
    metadata: dict[str, Metadata] = field(default_factory=dict)
    absent: list[CellAbsence] = field(default_factory=list)
    held: list[HeldCell] = field(default_factory=list)
    findings: list[ArmtorchError] = field(default_factory=list)
    #: by name
    silences: dict[str, Silence] = field(default_factory=dict)

    def put(self, cell: Cell, metadata: Mapping[str, Metadata]) -> None:
        """Take a cell into the next lock, with the METADATA it refers to."""
        self.cells[cell.line, cell.subdir, str(cell.accelerator)] = cell
        self.metadata.update(metadata)

    def keep(self, cell: Cell, error: ArmtorchError | None) -> None:
        """Take a cell over from the old lock, with the METADATA it refers to."""
        since = cell.unreachable_since
        if isinstance(error, UnreachableError):
            cell = replace(cell, unreachable_since=since or self.today)
        self.put(cell, {w.metadata: self.old.metadata[w.metadata] for w in cell.wheels})

    def keep_held(self, cell: Cell, lost: tuple[OfferKey, ArmtorchError]) -> None:
        """Take a cell over and say which of its wheels can no longer be read."""
        key, error = lost
        wheel = next((w for w in cell.wheels if (w.index, w.filename) == key), None)
        if wheel is not None and not isinstance(error, UnreachableError):
            version = wheel.version.partition("+")[0]
            found = finding_of(error, wheel.python)
            row = found.held(wheel.project, version, since=self.today, instead=version)
            cell = replace(cell, held=(row,))
        self.keep(cell, error)

    def note(self, error: ArmtorchError) -> None:
        """Note what went wrong, once."""
        if str(error) not in {str(known) for known in self.findings}:
            self.findings.append(error)

    def hear(self, silence: Silence) -> None:
        """Note an index that has no say, once."""
        known = self.silences.get(silence.index)
        if known is None or known.error is None:
            self.silences[silence.index] = silence

    def cells_of(self, wish: Wish) -> list[Cell]:
        """Return what the old lock has for a wish."""
        return [
            cell
            for cell in self.old.cells
            if cell.train == wish.train
            and cell.subdir == wish.subdir.name
            and wish.fits(cell.accelerator)
            and (cell.line == wish.line if wish.line else cell.line not in self.named)
        ]

    def keep_silent(self, wish: Wish, silent: Iterable[Silence]) -> list[Cell]:
        """Keep the old cells that have a wheel of an index without a say; return them."""
        kept = []
        for cell in self.cells_of(wish):
            indexes = {wheel.index for wheel in cell.wheels}
            of = [each for each in silent if any(map(each.is_of, indexes))]
            if of:
                errors = [each.error for each in of if each.error is not None]
                self.keep(cell, errors[0] if errors else None)
                kept.append(cell)
        return kept

    def is_news(self, draft: Draft, kept: list[Cell]) -> bool:
        """Whether a draft has a place beside what is kept: a newer torch, or what there was.

        A train that moves has one place: what is kept there gives way to nothing less whole.
        """
        moves = draft.wish.train != "stable"
        if moves and any(
            not {p for p in cell.versions if p in cell.trio or is_companion(p)}
            <= draft.releases.keys()
            for cell in kept
        ):
            return False
        if all(draft.torch > Version(cell.torch) for cell in kept):
            return True
        return any(
            Version(cell.torch).release[:2] == draft.torch.release[:2]
            for cell in self.cells_of(draft.wish)
            if cell not in kept
        )

    def behind(self, silent: Iterable[Silence], before: Cell | None) -> tuple[str, ...]:
        """Name the indexes that did not answer, now or when they were last asked."""
        was = before.behind if before is not None else ()
        return tuple(each.index for each in silent if each.error is not None or each.index in was)

    def keep_all(self, wish: Wish, error: ArmtorchError | None) -> bool:
        """Keep what the old lock has for a wish; return whether that is anything."""
        before = self.cells_of(wish)
        for cell in before:
            if (cell.line, cell.subdir, str(cell.accelerator)) not in self.cells:
                self.keep(cell, error)
        return bool(before)

    def fall_back(self, wish: Wish, error: ArmtorchError | None) -> None:
        """Keep what there is for a wish that cannot be answered now, else say why not."""
        if not self.keep_all(wish, error):
            self.miss(wish, error)

    def keep_or_miss(self, before: Cell | None, wish: Wish, error: ArmtorchError) -> None:
        """Keep the cell in a draft's place, else what there is for its wish."""
        if before is not None:
            self.keep(before, error)
        else:
            self.fall_back(wish, error)

    def miss(self, wish: Wish, error: ArmtorchError | None) -> None:
        """Say that there is no cell for a wish; without an error since nobody was asked."""
        reason: AbsenceReason = (
            "unreachable"
            if error is None or isinstance(error, UnreachableError)
            else ("absent" if isinstance(error, AbsentError) else "malformed")
        )
        # an error's text may name a host, and the lock is committed (decision D1)
        said = _UNANSWERED if reason == "unreachable" or error is None else error.what
        row = CellAbsence(
            train=wish.train,
            subdir=wish.subdir.name,
            accelerator="cuda" if wish.accelerator == EVERY_LINE else wish.accelerator,
            reason=reason,
            detail=said if error is not None else _UNASKED,
        )
        known = (
            old
            for old in self.old.absent
            if error is None
            and (old.train, old.subdir, old.accelerator) == (row.train, row.subdir, row.accelerator)
        )
        self.absent.append(next(known, row))

    def silent_since(self) -> dict[str, str]:
        """Return the silent indexes with the first day of their silence."""
        return {
            name: self.old.silent.get(name, self.today)
            for name, each in self.silences.items()
            if isinstance(each.error, UnreachableError)
            or (each.error is None and name in self.old.silent)
        }

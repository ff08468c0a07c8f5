"""`armtorch update`: asks upstream and makes the next lock; never forgets what it could not ask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from packaging.version import Version

from generator.console import Narrator
from generator.errors import (
    AbsentError,
    ArmtorchError,
    FeedstockError,
    MalformedError,
    UnreachableError,
)
from generator.model.cell import AbsenceReason, Cell, CellAbsence, Lock, TrainName
from generator.model.subdir import Subdir
from generator.model.wheel import Metadata
from generator.upstream.catalogue import read_catalogue, refuse_tampering
from generator.upstream.cells import CellMaker, Read, picks, read_all, with_old_origins
from generator.upstream.choosing import Chooser, Draft
from generator.upstream.indexes import Index
from generator.upstream.policy import SharingRules, TrioPolicy, sharing_rules, trio_policy
from generator.upstream.traffic import Traffic
from generator.upstream.wheel_reader import WheelReader
from generator.upstream.wishes import Asked, Wish, wishes

#: everything a wish may fail with while others go on
_UNANSWERED = "an index of the train did not answer when the lock was made"
_FAILURES = (AbsentError, UnreachableError, MalformedError)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The next lock, what went wrong on the way, and what it cost."""

    lock: Lock
    #: errors that were survived; the command's exit code is that of the first
    findings: tuple[ArmtorchError, ...]
    traffic: Traffic


@dataclass(kw_only=True)
class _Run:
    """What accumulates while wishes are worked off."""

    old: Lock
    cells: dict[tuple[str, str, str], Cell] = field(default_factory=dict)
    metadata: dict[str, Metadata] = field(default_factory=dict)
    absent: list[CellAbsence] = field(default_factory=list)
    findings: list[ArmtorchError] = field(default_factory=list)

    def put(self, cell: Cell, metadata: Mapping[str, Metadata]) -> None:
        self.cells[cell.line, cell.subdir, str(cell.accelerator)] = cell
        self.metadata.update(metadata)

    def keep(self, cell: Cell) -> None:
        """Take a cell over from the old lock, with the METADATA it refers to."""
        self.put(cell, {w.metadata: self.old.metadata[w.metadata] for w in cell.wheels})

    def note(self, error: ArmtorchError) -> None:
        if str(error) not in {str(known) for known in self.findings}:
            self.findings.append(error)


def update(
    asked: Asked,
    old: Lock,
    *,
    reader: WheelReader,
    indexes: Mapping[str, Index],
    subdirs: Mapping[str, Subdir],
    narrator: Narrator,
    policy: TrioPolicy | None = None,
    rules: SharingRules | None = None,
) -> Outcome:
    """Return the lock as upstream stands now.

    A wish whose index or wheels cannot be read keeps the cells that ``old`` has for it, and the
    error is among the findings. Build numbers are carried over.

    Raises:
        FeedstockError: a line is of a train that is not declared.
        IntegrityError: a released file changed its sha256 (stable only); nothing is to be written.

    """
    run = _Run(old=old)
    policy, rules = policy or trio_policy(), rules or sharing_rules()
    every = tuple(wishes(asked, subdirs))
    named = {wish.line for wish in every if wish.line}
    for train in dict.fromkeys(wish.train for wish in every):
        own = tuple(wish for wish in every if wish.train == train)
        if train not in asked.trains:
            raise FeedstockError(
                f"line {own[0].line} is of train {train}, which trains does not declare",
                where="feedstock.yaml",
                next_step=f"declare {train} under trains",
            )
        try:
            catalogue = read_catalogue(
                asked.packages, (indexes[name] for name in asked.trains[train].indexes)
            )
        except _FAILURES as error:
            run.note(error)
            for wish in own:
                _fall_back(run, wish, error, named)
            continue
        if train == "stable":
            refuse_tampering(catalogue, old)
        chooser = Chooser(catalogue, tuple(asked.packages), reader, policy)
        drafts = _choose(run, chooser, own, named, narrator)
        maker = CellMaker(catalogue=catalogue, reader=reader, policy=policy, rules=rules)
        _make(run, maker, drafts, narrator)
    lock = Lock(
        cells=tuple(run.cells.values()),
        metadata=run.metadata,
        builds=old.builds,
        absent=tuple(run.absent),
    )
    return Outcome(lock=lock.in_order(), findings=tuple(run.findings), traffic=reader.web.traffic)


def _choose(
    run: _Run, chooser: Chooser, own: Iterable[Wish], named: set[str], narrator: Narrator
) -> list[Draft]:
    drafts: list[Draft] = []
    for wish in own:
        chooser.findings.clear()
        try:
            with narrator.task(f"choosing releases for {wish.name}"):
                found = chooser.drafts(wish)
        except UnreachableError as error:
            run.note(error)
            _fall_back(run, wish, error, named)
            continue
        for finding in chooser.findings:
            run.note(finding)
        if found:
            drafts += found
            narrator.say(f"{wish.name}: " + "; ".join(_describe(draft) for draft in found))
        elif chooser.findings:
            _fall_back(run, wish, chooser.findings[0], named)
        else:
            run.absent.append(
                _cell_absence(
                    wish,
                    AbsentError(
                        f"no index of the train has a torch for {wish.accelerator} on {wish.subdir}"
                        + (f" that is {wish.torch}" if wish.line else "")
                        + _for_pythons(wish)
                    ),
                )
            )
    return drafts


def _for_pythons(wish: Wish) -> str:
    if wish.pythons is None:
        return ""
    return f" for Python {', '.join(map(str, wish.pythons))}"


def _make(run: _Run, maker: CellMaker, drafts: list[Draft], narrator: Narrator) -> None:
    offers = [pick.offer for draft in drafts for pick in picks(draft, maker.catalogue)[0]]
    read = read_all(offers, maker.reader, narrator)
    lines = name_lines(drafts)
    locked = {(w.filename, w.sha256) for cell in run.old.cells for w in cell.wheels}
    for draft, line in zip(drafts, lines, strict=True):
        before = next(
            (
                cell
                for cell in run.old.cells
                if cell.line == line
                and cell.subdir == draft.wish.subdir.name
                and cell.accelerator == draft.accelerator
            ),
            None,
        )
        try:
            made = maker.make(draft, line, read)
        except UnreachableError as error:
            run.note(error)
            _keep_or_miss(run, before, draft.wish, error)
            continue
        for finding in made.findings:
            run.note(finding)
        if before is not None and _lost(draft, maker, read, locked):
            run.keep(before)
        elif made.cell.wheels_of("torch"):
            run.put(
                with_old_origins(made.cell, [w for c in run.old.cells for w in c.wheels]),
                made.metadata,
            )
        else:
            _keep_or_miss(
                run,
                before,
                draft.wish,
                made.findings[0] if made.findings else AbsentError(made.cell.absent[0].detail),
            )


def _lost(draft: Draft, maker: CellMaker, read: Read, locked: set[tuple[str, str]]) -> bool:
    """Whether the new cell lacks what waiting may bring, or what the lock already had."""
    return any(
        isinstance(found := read[pick.offer.filename], UnreachableError)
        or (isinstance(found, ArmtorchError) and (pick.offer.filename, pick.offer.sha256) in locked)
        for pick in picks(draft, maker.catalogue)[0]
    )


def name_lines(drafts: Iterable[Draft]) -> list[str]:
    """Name the drafts' lines: by torch minor, and in full where a minor has several releases.

    Other trains than stable are one line each, of their name.
    """
    drafts = list(drafts)
    newest: dict[str, Version] = {}
    for draft in drafts:
        if not draft.wish.line:
            name = _series(draft)
            newest[name] = max(draft.torch, newest.get(name, draft.torch))
    return [
        draft.wish.line
        or (_series(draft) if draft.torch == newest[_series(draft)] else str(draft.torch))
        for draft in drafts
    ]


def _fall_back(run: _Run, wish: Wish, error: ArmtorchError, named: set[str]) -> None:
    """Keep what the old lock has for a wish that cannot be answered now, else say why not."""
    before = [
        cell
        for cell in run.old.cells
        if cell.train == wish.train
        and cell.subdir == wish.subdir.name
        and wish.fits(cell.accelerator)
        and (cell.line == wish.line if wish.line else cell.line not in named)
    ]
    for cell in before:
        run.keep(cell)
    if not before:
        run.absent.append(_cell_absence(wish, error))


def _keep_or_miss(run: _Run, before: Cell | None, wish: Wish, error: ArmtorchError) -> None:
    if before is not None:
        run.keep(before)
    else:
        run.absent.append(_cell_absence(wish, error))


def _cell_absence(wish: Wish, error: ArmtorchError) -> CellAbsence:
    train: TrainName = wish.train
    reason: AbsenceReason = (
        "unreachable"
        if isinstance(error, UnreachableError)
        else ("absent" if isinstance(error, AbsentError) else "malformed")
    )
    return CellAbsence(
        train=train,
        subdir=wish.subdir.name,
        accelerator=wish.accelerator,
        reason=reason,
        # an error's text may name a host, and the lock is committed (design D1)
        detail=_UNANSWERED if reason == "unreachable" else error.what,
    )


def _describe(draft: Draft) -> str:
    names = ", ".join(f"{project} {version}" for project, version in draft.trio.items())
    return f"{names} ({draft.accelerator}, Python {', '.join(map(str, draft.pythons))})"


def _series(draft: Draft) -> str:
    if draft.wish.train != "stable":
        return draft.wish.train
    return f"{draft.torch.major}.{draft.torch.minor}"

"""`armtorch update`: asks upstream and makes the next lock; never forgets what it could not ask."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import get_args

from packaging.version import Version

from generator.console import Narrator
from generator.errors import (
    AbsentError,
    ArmtorchError,
    FeedstockError,
    UnreachableError,
)
from generator.model.cell import (
    AbsenceReason,
    Cell,
    CellAbsence,
    Lock,
    TrainName,
)
from generator.model.subdir import Subdir
from generator.model.wheel import Metadata
from generator.upstream.catalogue import Catalogue, read_catalogue, refuse_tampering
from generator.upstream.cells import (
    CellMaker,
    Read,
    key_of,
    picks,
    read_all,
    with_old_origins,
)
from generator.upstream.choosing import Chooser, Draft
from generator.upstream.indexes import Index
from generator.upstream.lines import as_candidate, name_lines
from generator.upstream.offers import Offer
from generator.upstream.policy import SharingRules, TrioPolicy, sharing_rules, trio_policy
from generator.upstream.traffic import Traffic
from generator.upstream.unhashed import Identifier, Obtain, locked_wheels
from generator.upstream.wheel_reader import WheelReader
from generator.upstream.wishes import Asked, Wish, of_train, wishes

_UNANSWERED = "an index of the train did not answer when the lock was made"


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
    #: the day (UTC), ISO 8601
    today: str
    obtain: Obtain
    #: lines of their own
    named: frozenset[str]
    cells: dict[tuple[str, str, str], Cell] = field(default_factory=dict)
    metadata: dict[str, Metadata] = field(default_factory=dict)
    absent: list[CellAbsence] = field(default_factory=list)
    findings: list[ArmtorchError] = field(default_factory=list)

    def put(self, cell: Cell, metadata: Mapping[str, Metadata]) -> None:
        self.cells[cell.line, cell.subdir, str(cell.accelerator)] = cell
        self.metadata.update(metadata)

    def keep(self, cell: Cell, error: ArmtorchError | None) -> None:
        """Take a cell over from the old lock, with the METADATA it refers to."""
        since = cell.unreachable_since
        if isinstance(error, UnreachableError):
            cell = replace(cell, unreachable_since=since or self.today)
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
    obtain: Obtain,
    today: str,
    policy: TrioPolicy | None = None,
    rules: SharingRules | None = None,
) -> Outcome:
    """Return the lock as upstream stands now.

    A wish whose index or wheels cannot be read keeps the cells that ``old`` has for it, and the
    error is among the findings. Build numbers are carried over.

    Args:
        asked: the feedstock.
        old: the lock as it is.
        reader: reads wheels where they are.
        indexes: every index by its name in the feedstock.
        subdirs: every subdir by its name.
        narrator: told of progress.
        obtain: brings whole files whose index promises no sha256 (nightlies).
        today: the day (UTC), ISO 8601.
        policy: the data file's when not given.
        rules: the data file's when not given.

    Raises:
        FeedstockError: a line is of a train that is not declared.
        IntegrityError: a released file changed its sha256 (stable only); nothing is to be written.

    """
    policy, rules = policy or trio_policy(), rules or sharing_rules()
    every = tuple(wishes(asked, subdirs))
    named = frozenset(wish.line for wish in every if wish.line)
    run = _Run(old=old, today=today, obtain=obtain, named=named)
    released = _released_by(old)
    # stable first: it says which candidates are none any more
    for train in sorted({wish.train for wish in every}, key=list(get_args(TrainName)).index):
        own = tuple(wish for wish in every if wish.train == train)
        if train not in asked.trains:
            raise FeedstockError(
                f"line {own[0].line} is of train {train}, which trains does not declare",
                where="feedstock.yaml",
                next_step=f"declare {train} under trains",
            )
        catalogue = read_catalogue(
            (*asked.packages, *asked.fill), (indexes[name] for name in asked.trains[train].indexes)
        )
        for _, silence in catalogue.silent:
            run.note(silence)
        for unclear, _ in catalogue.malformed():
            run.note(unclear)
        if train == "stable":
            refuse_tampering(catalogue, old)
            released = _released_by(old, catalogue)
        chooser = Chooser(
            catalogue, tuple(asked.packages), reader, policy, tuple(asked.fill), released
        )
        drafts = _choose(run, chooser, own, narrator)
        maker = CellMaker(catalogue=catalogue, reader=reader, policy=policy, rules=rules)
        _make(run, maker, drafts, narrator)
    lock = Lock(
        cells=tuple(run.cells.values()),
        metadata=run.metadata,
        builds=old.builds,
        absent=tuple(run.absent),
    )
    return Outcome(lock=lock.in_order(), findings=tuple(run.findings), traffic=reader.web.traffic)


def _choose(run: _Run, chooser: Chooser, own: Iterable[Wish], narrator: Narrator) -> list[Draft]:
    drafts: list[Draft] = []
    for wish in own:
        chooser.findings.clear()
        if (silence := chooser.catalogue.silence(wish.accelerator)) is not None:
            _fall_back(run, wish, silence)
            continue
        try:
            with narrator.task(f"choosing releases for {wish.name}"):
                found = chooser.drafts(wish)
        except UnreachableError as error:
            run.note(error)
            _fall_back(run, wish, error)
            continue
        for finding in chooser.findings:
            run.note(finding)
        if found:
            drafts += found
            narrator.say(f"{wish.name}: " + "; ".join(_describe(draft) for draft in found))
        elif chooser.findings:
            _fall_back(run, wish, chooser.findings[0])
        else:
            run.absent.append(
                _cell_absence(
                    wish,
                    AbsentError(
                        f"no index of the train has a torch for {wish.accelerator} on {wish.subdir}"
                        + (f" that is {wish.torch}" if wish.line else "")
                        + (" that is not released yet" if wish.train == "rc" else "")
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
    maker, read = _read(run, maker, drafts, narrator)
    locked = {(w.filename, w.sha256) for cell in run.old.cells for w in cell.wheels}
    for draft, line in zip(drafts, name_lines(drafts), strict=True):
        before = _before(run.old, draft, line)
        try:
            made = maker.make(draft, line, read)
        except UnreachableError as error:
            run.note(error)
            _keep_or_miss(run, before, draft.wish, error)
            continue
        for finding in made.findings:
            run.note(finding)
        if before is not None and (lost := _lost(draft, maker, read, locked, before)):
            run.keep(before, lost)
        elif made.cell.wheels_of("torch"):
            cell = with_old_origins(made.cell, [w for c in run.old.cells for w in c.wheels])
            run.put(as_candidate(cell, run.old.cells, run.today), made.metadata)
        else:
            torch = (absence for absence in made.cell.absent if not absence.package)
            why = made.findings[0] if made.findings else AbsentError(next(torch).detail)
            _keep_or_miss(run, before, draft.wish, why)


def _read(
    run: _Run, maker: CellMaker, drafts: list[Draft], narrator: Narrator
) -> tuple[CellMaker, Read]:
    """Identify the wheels that come without a sha256, then read all of them."""
    offers = [pick.offer for draft in drafts for pick in picks(draft, maker.catalogue)[0]]
    if not offers:
        return maker, {}
    identified = Identifier(
        reader=maker.reader,
        obtain=run.obtain,
        locked=locked_wheels(run.old),
        train=drafts[0].wish.train,
    ).all(offers)
    failed = {key: each for key, each in identified.items() if isinstance(each, ArmtorchError)}
    known = {key: each for key, each in identified.items() if isinstance(each, Offer)}
    ready = [known.get(key_of(o), o) for o in offers if key_of(o) not in failed]
    read = read_all(ready, maker.reader, narrator)
    return replace(maker, catalogue=maker.catalogue.identified(known)), {**read, **failed}


def _before(old: Lock, draft: Draft, line: str) -> Cell | None:
    """Return the cell that a draft is to take the place of."""
    return next(
        (
            cell
            for cell in old.cells
            if cell.line == line
            and cell.subdir == draft.wish.subdir.name
            and cell.accelerator == draft.accelerator
        ),
        None,
    )


def _lost(
    draft: Draft, maker: CellMaker, read: Read, locked: set[tuple[str, str]], before: Cell
) -> ArmtorchError | None:
    """Return why the new cell lacks what waiting may bring, or what the lock already had."""
    for pick in picks(draft, maker.catalogue)[0]:
        found = read[key_of(pick.offer)]
        if isinstance(found, UnreachableError) or (
            isinstance(found, ArmtorchError) and (pick.offer.filename, pick.offer.sha256) in locked
        ):
            return found
    had = {(wheel.index, wheel.filename) for wheel in before.wheels}
    unclear = (error for error, key in maker.catalogue.malformed() if key in had)
    return next(unclear, None)


def _released_by(
    old: Lock, catalogue: Catalogue | None = None
) -> Callable[[Subdir], frozenset[Version]]:
    """Return a function that says which torch versions are released for a subdir."""

    def released(subdir: Subdir) -> frozenset[Version]:
        locked = {
            Version(cell.torch)
            for cell in old.cells
            if cell.train == "stable" and cell.subdir == subdir.name
        }
        offered = catalogue.releases("torch", subdir) if catalogue is not None else ()
        final = {each.version for each in offered if of_train("stable", each.version)}
        return frozenset(locked | {Version(version.public) for version in final})

    return released


def _fall_back(run: _Run, wish: Wish, error: ArmtorchError) -> None:
    """Keep what the old lock has for a wish that cannot be answered now, else say why not."""
    before = [
        cell
        for cell in run.old.cells
        if cell.train == wish.train
        and cell.subdir == wish.subdir.name
        and wish.fits(cell.accelerator)
        and (cell.line == wish.line if wish.line else cell.line not in run.named)
    ]
    for cell in before:
        if (cell.line, cell.subdir, str(cell.accelerator)) not in run.cells:
            run.keep(cell, error)
    if not before:
        run.absent.append(_cell_absence(wish, error))


def _keep_or_miss(run: _Run, before: Cell | None, wish: Wish, error: ArmtorchError) -> None:
    if before is not None:
        run.keep(before, error)
    else:
        _fall_back(run, wish, error)


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

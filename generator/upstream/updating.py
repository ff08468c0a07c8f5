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
    HeldCell,
    Lock,
    TrainName,
)
from generator.model.held import Held
from generator.model.subdir import Subdir
from generator.model.wheel import Metadata
from generator.upstream.catalogue import Catalogue, read_catalogue, refuse_tampering
from generator.upstream.cells import CellMaker, picks, with_old_origins
from generator.upstream.choosing import Chooser
from generator.upstream.drafts import Draft
from generator.upstream.holding import of_place, with_old_days
from generator.upstream.indexes import Index
from generator.upstream.judging import Bench, Judge, finding_of
from generator.upstream.lines import as_candidate, name_lines
from generator.upstream.offers import Offer
from generator.upstream.policy import SharingRules, TrioPolicy, sharing_rules, trio_policy
from generator.upstream.reading import OfferKey, Read, key_of, read_all
from generator.upstream.traffic import Traffic
from generator.upstream.unhashed import Identifier, Obtain, locked_wheels
from generator.upstream.wheel_reader import WheelReader
from generator.upstream.wishes import Asked, Wish, of_train, wishes

_UNANSWERED = "an index of the train did not answer when the lock was made"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The next lock, what went wrong on the way, and what it cost."""

    lock: Lock
    #: indexes and files that did not answer, or not so that anything could be read; what is held
    #: for a reason of its own stands in the lock
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
    held: list[HeldCell] = field(default_factory=list)
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

    def keep_held(self, cell: Cell, lost: tuple[OfferKey, ArmtorchError]) -> None:
        """Take a cell over and say which of its wheels can no longer be read."""
        key, error = lost
        wheel = next((w for w in cell.wheels if (w.index, w.filename) == key), None)
        if wheel is not None and not isinstance(error, UnreachableError):
            found = finding_of(error, wheel.python)
            version = wheel.version.partition("+")[0]
            row = Held(
                **vars(found),
                project=wheel.project,
                version=version,
                since=self.today,
                instead=version,
            )
            cell = replace(cell, held=(row,))
        self.keep(cell, error)

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
    judges: tuple[Judge, ...] = (),
    policy: TrioPolicy | None = None,
    rules: SharingRules | None = None,
) -> Outcome:
    """Return the lock as upstream stands now.

    A wish whose index or wheels cannot be read keeps the cells that ``old`` has for it, and the
    error is among the findings. What speaks against a release costs that release, or its wheel for
    one Python: the lock says what is held. Build numbers are carried over.

    Args:
        asked: the feedstock.
        old: the lock as it is.
        reader: reads wheels where they are.
        indexes: every index by its name in the feedstock.
        subdirs: every subdir by its name.
        narrator: told of progress.
        obtain: brings whole files whose index promises no sha256 (nightlies).
        today: the day (UTC), ISO 8601.
        judges: say what speaks against a release that is about to be taken.
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
    locked = frozenset((w.filename, w.sha256) for cell in old.cells for w in cell.wheels)
    bench = Bench(judges=judges, reader=reader, narrator=narrator, locked=locked)
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
        if train == "stable":
            refuse_tampering(catalogue, old)
            released = _released_by(old, catalogue)
        chooser = Chooser(
            catalogue=catalogue,
            projects=tuple(asked.packages),
            reader=reader,
            policy=policy,
            bench=bench,
            today=today,
            fill=tuple(asked.fill),
            released=released,
        )
        drafts = _choose(run, chooser, own, narrator)
        maker = CellMaker(
            catalogue=catalogue, reader=reader, policy=policy, rules=rules, today=today
        )
        _make(run, maker, drafts, bench, narrator)
    lock = Lock(
        cells=tuple(run.cells.values()),
        metadata=run.metadata,
        builds=old.builds,
        absent=tuple(run.absent),
        held=tuple(run.held),
    )
    lock = with_old_days(lock.in_order(), old)
    return Outcome(lock=lock, findings=tuple(run.findings), traffic=reader.web.traffic)


def _choose(run: _Run, chooser: Chooser, own: Iterable[Wish], narrator: Narrator) -> list[Draft]:
    drafts: list[Draft] = []
    for wish in own:
        if (silence := chooser.catalogue.silence(wish.accelerator)) is not None:
            _fall_back(run, wish, silence)
            continue
        try:
            with narrator.task(f"choosing releases for {wish.name}"):
                found = chooser.choose(wish)
        except UnreachableError as error:
            run.note(error)
            _fall_back(run, wish, error)
            continue
        run.held += found.held
        if found.drafts:
            drafts += found.drafts
            narrator.say(f"{wish.name}: " + "; ".join(_describe(draft) for draft in found.drafts))
        elif found.held:
            _keep_all(run, wish, None)
        else:
            run.absent.append(_cell_absence(wish, _nowhere(wish)))
    return drafts


def _nowhere(wish: Wish) -> AbsentError:
    pythons = f" for Python {', '.join(map(str, wish.pythons))}" if wish.pythons else ""
    return AbsentError(
        f"no index of the train has a torch for {wish.accelerator} on {wish.subdir}"
        + (f" that is {wish.torch}" if wish.line else "")
        + (" that is not released yet" if wish.train == "rc" else "")
        + pythons
    )


def _make(
    run: _Run, maker: CellMaker, drafts: list[Draft], bench: Bench, narrator: Narrator
) -> None:
    maker, read = _read(run, maker, drafts, bench.read, narrator)
    for draft, line in zip(drafts, name_lines(drafts), strict=True):
        before = _before(run.old, draft, line)
        try:
            made = maker.make(draft, line, read)
        except UnreachableError as error:
            run.note(error)
            _keep_or_miss(run, before, draft.wish, error)
            continue
        for silence in made.silent:
            run.note(silence)
        if before is not None and (lost := _lost(draft, maker, read, bench.locked, before)):
            run.keep_held(before, lost)
        elif made.cell.wheels_of("torch"):
            cell = with_old_origins(made.cell, [w for c in run.old.cells for w in c.wheels])
            run.put(as_candidate(cell, run.old.cells, run.today), made.metadata)
        elif made.silent:
            _keep_or_miss(run, before, draft.wish, made.silent[0])
        else:
            _hold(run, before, draft.wish, made.cell)


def _hold(run: _Run, before: Cell | None, wish: Wish, made: Cell) -> None:
    """Keep what there was in the place of a cell none of whose torch wheels can be used."""
    rows = [row for row in made.held if row.project == "torch"]
    run.held += [of_place(row, wish, instead="") for row in rows]
    if before is not None:
        run.keep(before, None)
    elif rows:
        _keep_all(run, wish, None)
    else:
        detail = next(each.detail for each in made.absent if not each.package)
        _fall_back(run, wish, AbsentError(detail))


def _read(
    run: _Run, maker: CellMaker, drafts: list[Draft], seen: Read, narrator: Narrator
) -> tuple[CellMaker, Read]:
    """Identify the wheels that come without a sha256, then read what was not ``seen`` yet."""
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
    todo = (o for o in offers if key_of(o) not in failed and key_of(o) not in seen)
    read = read_all([known.get(key_of(o), o) for o in todo], maker.reader, narrator)
    return replace(maker, catalogue=maker.catalogue.identified(known)), {**seen, **read, **failed}


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
    draft: Draft,
    maker: CellMaker,
    read: Read,
    locked: frozenset[tuple[str, str | None]],
    before: Cell,
) -> tuple[OfferKey, ArmtorchError] | None:
    """Return why the new cell lacks what waiting may bring, or what the lock already had."""
    for pick in picks(draft, maker.catalogue)[0]:
        found = read[key_of(pick.offer)]
        if isinstance(found, UnreachableError) or (
            isinstance(found, ArmtorchError) and (pick.offer.filename, pick.offer.sha256) in locked
        ):
            return key_of(pick.offer), found
    had = {(wheel.index, wheel.filename) for wheel in before.wheels}
    unclear = ((key, error) for error, key in maker.catalogue.malformed() if key in had)
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
    if not _keep_all(run, wish, error):
        run.absent.append(_cell_absence(wish, error))


def _keep_all(run: _Run, wish: Wish, error: ArmtorchError | None) -> bool:
    """Keep what the old lock has for a wish; return whether that is anything."""
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
    return bool(before)


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

"""`armtorch update`: asks upstream and makes the next lock; never forgets what it could not ask."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar, get_args

from packaging.version import Version

from generator.console import Narrator
from generator.errors import (
    AbsentError,
    ArmtorchError,
    FeedstockError,
    UnreachableError,
)
from generator.feedstock import Feedstock
from generator.model.cell import (
    Cell,
    Lock,
    TrainName,
    of_train,
)
from generator.model.subdir import Subdir
from generator.updating.catalogue import Catalogue, read_catalogue, refuse_tampering
from generator.updating.cells import CellMaker, picks, with_old_origins
from generator.updating.choosing import Chooser
from generator.updating.drafts import Draft
from generator.updating.holding import of_place, with_old_days
from generator.updating.judging import Bench, Judge
from generator.updating.keeping import Run
from generator.updating.lines import as_candidate, name_lines, told_once
from generator.updating.wishes import EVERY_LINE, Wish, wishes
from generator.upstream.claims import Claims
from generator.upstream.indexes import Index
from generator.upstream.offers import Offer
from generator.upstream.policy import TrioPolicy, trio_policy
from generator.upstream.reading import OfferKey, Read, key_of, read_all
from generator.upstream.silence import Silence, SilentIndexError, Unasked, give_up_together
from generator.upstream.traffic import Traffic
from generator.upstream.unhashed import Identifier, Obtain, locked_wheels
from generator.upstream.wheel_reader import WheelReader

_Found = TypeVar("_Found")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The next lock, what went wrong on the way, and what it cost."""

    lock: Lock
    #: files that did not answer, and indexes from which nothing could be read, where no index
    #: could; what is held for a reason of its own stands in the lock
    findings: tuple[ArmtorchError, ...]
    #: indexes that did not answer while others did
    silent: tuple[Silence, ...]
    traffic: Traffic


def update(
    asked: Feedstock,
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
) -> Outcome:
    """Return the lock as upstream stands now.

    What cannot be read keeps the cells that ``old`` has of it, beside those that are made of what
    answers; the lock says which index may have newer. What speaks against a release costs that
    release, or its wheel for one Python: the lock says what is held. Build numbers stay.
    ``obtain`` brings whole files whose index promises no sha256 (nightlies); ``today`` is the day
    (UTC), ISO 8601.
    Raises FeedstockError: a line is of no declared train, or two of one torch cannot be one.
    IntegrityError: a released file changed its sha256 (stable only); nothing is to be written.
    """
    every = tuple(wishes(asked, subdirs))
    run = Run(old=old, today=today, obtain=obtain, named=frozenset(w.line for w in every if w.line))
    bench = Bench(judges=judges, reader=reader, narrator=narrator, locked=_locked(old))
    give_up_together(indexes[name] for name in _declared(asked))
    stable: Catalogue | None = None
    for train, own in _by_train(every):
        catalogue = _catalogue(run, asked, indexes, train, own)
        if train == "stable":
            refuse_tampering(catalogue, old)
            stable = catalogue
        elif stable is not None:
            catalogue = catalogue.with_companions(stable)
        chooser = Chooser(
            asked=asked,
            catalogue=catalogue,
            policy=policy or trio_policy(),
            bench=bench,
            today=today,
            released=_released_by(old, stable),
        )
        beside = stable.silent if stable is not None and train != "stable" else ()
        _make(run, chooser, _choose(run, chooser, own, beside))
    _tell_once(run, asked, narrator)
    return _outcome(run, asked, indexes, reader.web.traffic)


def _tell_once(run: Run, asked: Feedstock, narrator: Narrator) -> None:
    """Leave out cells whose torch another cell has as well; raises FeedstockError."""
    once = told_once(run.cells.values(), run.old, run.named, lambda each: asked.label(each) or "")
    for name, cell in once.items():
        narrator.say(f"{name}: {cell.name} has its torch {cell.torch}, and serves it, too")
    run.cells = {key: cell for key, cell in run.cells.items() if cell.name not in once}


def _by_train(every: Iterable[Wish]) -> list[tuple[TrainName, tuple[Wish, ...]]]:
    """Take wishes apart, stable first: it says which candidates are none any more."""
    trains: tuple[TrainName, ...] = get_args(TrainName)
    own = ((train, tuple(wish for wish in every if wish.train == train)) for train in trains)
    return [(train, those) for train, those in own if those]


def _locked(old: Lock) -> frozenset[tuple[str, str | None]]:
    return frozenset((wheel.filename, wheel.sha256) for cell in old.cells for wheel in cell.wheels)


def _declared(asked: Feedstock) -> tuple[str, ...]:
    return tuple(dict.fromkeys(n for policy in asked.trains.values() for n in policy.indexes))


def _catalogue(
    run: Run,
    asked: Feedstock,
    indexes: Mapping[str, Index],
    train: TrainName,
    own: tuple[Wish, ...],
) -> Catalogue:
    if train not in asked.trains:
        raise FeedstockError(
            f"line {own[0].line} is of train {train}, which trains does not declare",
            where="feedstock.yaml",
            next_step=f"declare {train} under trains",
        )
    catalogue = read_catalogue(
        (*asked.packages, *asked.fill, *asked.companions),
        (indexes[name] for name in asked.trains[train].indexes),
    )
    for silence in catalogue.silent:
        run.hear(silence)
    return catalogue


def _outcome(run: Run, asked: Feedstock, indexes: Mapping[str, Index], traffic: Traffic) -> Outcome:
    lock = Lock(
        cells=tuple(run.cells.values()),
        metadata=run.metadata,
        builds=run.old.builds,
        absent=tuple(run.absent),
        held=tuple(run.held),
        silent=run.silent_since(),
    )
    lock = with_old_days(lock.in_order(), run.old)
    silent = _settle(run, {n for n in _declared(asked) if not isinstance(indexes[n], Unasked)})
    return Outcome(lock=lock, findings=tuple(run.findings), silent=silent, traffic=traffic)


def _settle(run: Run, asked: Iterable[str]) -> tuple[Silence, ...]:
    """Tell a network that reaches some indexes from one where nothing could be looked up."""
    silent = tuple(each for each in run.silences.values() if each.error is not None)
    unreachable = tuple(s for s in silent if isinstance(s.error, UnreachableError))
    some = bool(set(asked) - {each.index for each in silent})
    for each in silent:
        if each.error is not None and not (some and each in unreachable):
            run.note(each.error)
    return unreachable if some else ()


def _choose(
    run: Run,
    chooser: Chooser,
    own: Iterable[Wish],
    beside: tuple[Silence, ...],
) -> list[Draft]:
    """Choose what becomes cells; ``beside`` are silent indexes that have companions alone."""
    drafts: list[Draft] = []
    narrator = chooser.bench.narrator
    todo = [line for wish in own for line in _lines(run, chooser, wish)]
    for wish in todo:
        with narrator.task(f"choosing releases for {wish.name}"):
            found, silent = _past_silence(run, chooser, wish, lambda c, w=wish: c.choose(w))  # type: ignore[misc]
        kept = run.keep_silent(wish, (*silent, *beside))
        run.held += found.held
        own_cells = run.cells_of(wish)
        new = [
            replace(draft, behind=run.behind(silent, next(iter(own_cells), None)))
            for draft in found.drafts
            if run.is_news(draft, kept)
        ]
        drafts += new
        if new:
            narrator.say(f"{wish.name}: " + "; ".join(_describe(draft) for draft in new))
        elif kept:
            continue
        elif found.held:
            run.keep_all(wish, None)
        elif silent:
            run.fall_back(wish, next((s.error for s in silent if s.error is not None), None))
        else:
            run.miss(wish, _nowhere(wish))
    return drafts


def _lines(run: Run, chooser: Chooser, wish: Wish) -> tuple[Wish, ...]:
    """Take the wish for every CUDA line apart; others stand for themselves."""
    if wish.accelerator != EVERY_LINE:
        return (wish,)
    known = [
        Version(cell.torch)
        for cell in run.old.cells
        if (cell.train, cell.subdir) == (wish.train, wish.subdir.name)
    ]
    found, silent = _past_silence(run, chooser, wish, lambda c: c.lines(wish, known))
    if silent:
        # what there was goes on, though nobody says now that it is there
        found |= {str(c.accelerator) for c in run.cells_of(replace(wish, accelerator="cuda"))}
    return tuple(replace(wish, accelerator=line) for line in sorted(found or {"cuda"}))


def _past_silence(
    run: Run, chooser: Chooser, wish: Wish, ask: Callable[[Chooser], _Found]
) -> tuple[_Found, tuple[Silence, ...]]:
    """Ask without the indexes that have no say; one whose files cannot be had has none either."""
    accelerator = "cuda" if wish.accelerator == EVERY_LINE else wish.accelerator
    silent = chooser.catalogue.silences(accelerator, wish.subdir)
    while True:
        try:
            return ask(chooser.without(silent)), silent
        except SilentIndexError as error:
            if any(each.index == error.index for each in silent):
                raise
            silence = Silence(error.index, Claims(), error.error)
            run.hear(silence)
            silent = (*silent, silence)


def _nowhere(wish: Wish) -> AbsentError:
    pythons = f" for Python {wish.pythons}" if wish.pythons else ""
    return AbsentError(
        f"no index of the train has a torch for {wish.accelerator} on {wish.subdir}"
        + (f" that is {wish.torch}" if wish.line else "")
        + (" that is not released yet" if wish.train == "rc" else "")
        + pythons
    )


def _make(run: Run, chooser: Chooser, drafts: list[Draft]) -> None:
    bench = chooser.bench
    maker = CellMaker(
        catalogue=chooser.catalogue, reader=bench.reader, policy=chooser.policy, today=run.today
    )
    maker, read = _read(run, maker, drafts, bench.read, bench.narrator)
    for draft, line in zip(drafts, name_lines(drafts), strict=True):
        before = run.old.by_name.get(f"{line}/{draft.wish.subdir}/{draft.accelerator}")
        try:
            made = maker.make(draft, line, read)
        except UnreachableError as error:
            run.note(error)
            run.keep_or_miss(before, draft.wish, error)
            continue
        for silence in made.silent:
            run.note(silence)
        if before is not None and (lost := _lost(draft, maker, read, bench.locked, before)):
            run.keep_held(before, lost)
        elif made.cell.wheels_of("torch"):
            cell = with_old_origins(made.cell, [w for c in run.old.cells for w in c.wheels])
            run.put(as_candidate(cell, run.old.cells, run.today), made.metadata)
        elif made.silent:
            run.keep_or_miss(before, draft.wish, made.silent[0])
        else:
            _hold(run, before, draft.wish, made.cell)


def _hold(run: Run, before: Cell | None, wish: Wish, made: Cell) -> None:
    """Keep what there was in the place of a cell none of whose torch wheels can be used."""
    rows = [row for row in made.held if row.project == "torch"]
    run.held += [of_place(row, wish, instead="") for row in rows]
    if before is not None:
        run.keep(before, None)
    elif rows:
        run.keep_all(wish, None)
    else:
        detail = next(each.detail for each in made.absent if not each.package)
        run.fall_back(wish, AbsentError(detail))


def _read(
    run: Run, maker: CellMaker, drafts: list[Draft], seen: Read, narrator: Narrator
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


def _released_by(old: Lock, catalogue: Catalogue | None) -> Callable[[Subdir], frozenset[Version]]:
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


def _describe(draft: Draft) -> str:
    names = ", ".join(f"{project} {version}" for project, version in draft.trio.items())
    return f"{names} ({draft.accelerator}, Python {', '.join(map(str, draft.pythons))})"

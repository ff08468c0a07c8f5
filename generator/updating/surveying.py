"""What every declared index has for ARM now, beside what the lock has (``armtorch indexes``)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from packaging.version import Version

from generator.errors import ArmtorchError, MalformedError, UnreachableError
from generator.feedstock import Feedstock, SubdirName
from generator.model.cell import Lock, TrainName, of_train
from generator.model.subdir import Subdir
from generator.updating.catalogue import offers_of
from generator.upstream.claims import may_be
from generator.upstream.families import Family
from generator.upstream.indexes import Index
from generator.upstream.offers import Offer
from generator.upstream.silence import Silence, give_up_together


@dataclass(frozen=True, kw_only=True)
class Addition:
    """A torch that an index has and the lock has not, or only an older one."""

    train: TrainName
    subdir: str
    accelerator: str
    version: str
    #: the lock's; "" for none
    instead_of: str

    def __str__(self) -> str:
        was = f" for {self.instead_of}" if self.instead_of else ""
        return f"{self.train} {self.subdir} {self.accelerator} {self.version}{was}"


@dataclass(frozen=True, kw_only=True)
class IndexView:
    """One index, as it answers now."""

    name: str
    #: trains that look there
    trains: tuple[TrainName, ...]
    #: "" where it answers
    failed: str
    #: the day since which the lock knows that it does not answer, "" where it does or it is new
    since: str
    #: usable wheels of the feedstock's packages for its subdirs
    wheels: int = 0
    #: the newest torch among them; "" for none
    newest: str = ""
    adds: tuple[Addition, ...] = ()


@dataclass(frozen=True)
class _Survey:
    asked: Feedstock
    lock: Lock
    subdirs: Mapping[str, Subdir]
    _newest: dict[tuple[str, str, str], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for cell in self.lock.cells:
            key = cell.train, cell.subdir, str(cell.accelerator)
            known = self._newest.get(key, "0")
            self._newest[key] = max(known, cell.torch, key=Version)

    def of(self, index: Index, declared: str) -> IndexView:
        """Look at one index."""
        trains = tuple(t for t, policy in self.asked.trains.items() if declared in policy.indexes)
        try:
            found = [o for project in self.asked.packages for o in offers_of(index, project)]
        except (UnreachableError, MalformedError) as error:
            return _failed(index, trains, error, self.lock)
        wheels = [offer for offer in found if list(self._places(offer))]
        torch = [offer for offer in wheels if offer.project == "torch"]
        newest = max((offer.version for offer in torch), default=None)
        return IndexView(
            name=index.name,
            trains=trains,
            failed="",
            since="",
            wheels=len({offer.filename for offer in wheels}),
            newest="" if newest is None else newest.public,
            adds=tuple(self._adds(torch, trains)),
        )

    def _places(self, offer: Offer) -> Iterator[SubdirName]:
        for name in self.asked.subdirs:
            if offer.usable and offer.is_for(self.subdirs[name].wheel_platforms):
                yield name

    def _adds(self, torch: list[Offer], trains: Iterable[TrainName]) -> Iterator[Addition]:
        newest: dict[tuple[TrainName, SubdirName, str], Version] = {}
        for offer in torch:
            for subdir in self._places(offer):
                # of others than macOS's, METADATA or the wheel tells: that is update's to read
                claim = offer.claim or ("cpu" if self.subdirs[subdir].os == "osx" else "")
                if not claim or not self._wanted(subdir, claim):
                    continue
                for train in trains:
                    if of_train(train, offer.version):
                        key = train, subdir, claim
                        newest[key] = max(newest.get(key, offer.version), offer.version)
        for (train, subdir, claim), version in sorted(newest.items()):
            known = self._newest.get((train, subdir, claim), "")
            released = self._newest.get(("stable", subdir, claim), "")
            if train == "rc" and released and Version(released) >= Version(version.public):
                continue
            if not known or Version(known) < Version(version.public):
                yield Addition(
                    train=train,
                    subdir=subdir,
                    accelerator=claim,
                    version=version.public,
                    instead_of=known,
                )

    def _wanted(self, subdir: SubdirName, claim: str) -> bool:
        wishes = self.asked.subdirs[subdir].accelerators
        return any(may_be(claim, wish.removesuffix("*")) for wish in wishes)


def survey(
    asked: Feedstock, lock: Lock, indexes: Mapping[str, Index], subdirs: Mapping[str, Subdir]
) -> tuple[IndexView, ...]:
    """Ask every index for every project, and say what there is; one that fails costs its row."""
    give_up_together(indexes.values())
    looking, found = _Survey(asked, lock, subdirs), list[IndexView]()
    for name, index in indexes.items():
        if not isinstance(index, Family):
            found.append(looking.of(index, name))
            continue
        try:
            found += [looking.of(each, name) for each in index.members()]
        except (UnreachableError, MalformedError) as error:
            trains = tuple(t for t, policy in asked.trains.items() if name in policy.indexes)
            found.append(_failed(index, trains, error, lock))
    return tuple(found)


def _failed(
    index: Index, trains: tuple[TrainName, ...], error: ArmtorchError, lock: Lock
) -> IndexView:
    silent = ((Silence(name, index.claims, None), day) for name, day in lock.silent.items())
    days = [day for each, day in silent if each.is_of(index.name)]
    return IndexView(
        name=index.name,
        trains=trains,
        failed=f"{error.kind}: {error.what}",
        since=min(days, default=""),
    )

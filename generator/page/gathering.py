"""``page``: what a channel, its lock and its hotfixes say, put together for the static page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import ConfigDict

from generator.channel import LocalChannel, Record
from generator.channel.built import known_packages, wheel_bytes
from generator.channel.destinations import hosts, labelled_url
from generator.channel.patching import HOTFIXES, REVOKED, Hotfix, read_hotfixes
from generator.channel.retention import newest_first
from generator.datafiles import load_data, subdirs
from generator.errors import SelectionError
from generator.explaining import Coverage, noticed_packages, package_notices
from generator.feedstock import Feedstock
from generator.matrix import matrix_view
from generator.model import Accelerator, Variant
from generator.model.cell import TrainName
from generator.model.python_build import PythonBuild, not_on_base
from generator.page.content import (
    Build,
    Choice,
    Combination,
    PackageLine,
    PackagePage,
    PageContent,
    Sizes,
    WheelSource,
)
from generator.page.coverage import (
    Place,
    accelerator_name,
    board_rows,
    coverage_rows,
    in_order,
)
from generator.page.offers import first_offer, is_release, train_order
from generator.page.offers import offers as offers_of
from generator.page.records import Listed, by_name
from generator.page.site import Site
from generator.project import Project
from generator.testing import ChannelSolver, Machine
from generator.transport.gateway import open_gateway


@dataclass(frozen=True, kw_only=True)
class Words:
    """page.yaml: how people call machines and packages."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    machines: dict[str, dict[str, str]]
    trains: dict[TrainName, dict[str, str]]
    packages: dict[str, str]


#: what offers and the grid of cells are made of
_TRIO: Final = frozenset({"pytorch", "torchvision", "torchaudio"})
#: says why an offer cannot be installed, "" when it can
Check = Callable[[Combination], str]


def write_page(
    project: Project,
    source: LocalChannel,
    folder: Path,
    url: str = "",
    check: Check | None = None,
    others: Coverage | None = None,
    looked: str = "",
) -> PageContent:
    """Write the page of a channel folder; ``url`` is what commands name it by.

    What ``check`` finds fault with is not offered, and the coverage says why. ``others`` is what
    other channels have of each cell, ``looked`` when CI last looked at upstream.
    Raises FeedstockError, LockError: the inputs cannot be used.
    IntegrityError: the channel's repodata is not usable.
    StorageError: the folder cannot be written.
    """
    site = Site(
        folder,
        channel=labelled_url(url or project.declared().channel, ""),
        train_names=_train_names(load_data("page.yaml", Words)),
    )
    content = replace(
        page_content(project, source, url, check, others, site.write_package), looked=looked
    )
    site.write_front(content)
    return content


def solvability(feedstock: Feedstock, source: LocalChannel, base: Sequence[str] = ()) -> Check:
    """Return a check that solves each offer with the base channels, or with ``base`` instead."""
    declared = {str(name): row.base for name, row in feedstock.subdirs.items()}
    gateway = open_gateway()

    def check(offer: Combination) -> str:
        own = dict.fromkeys((source.labelled(offer.label).url, source.url))
        bases = base or declared.get(offer.machine, ())
        driver = Accelerator.parse(offer.accelerator).driver
        machine = Machine.of(subdirs()[offer.machine], native=False, driver=driver)
        solver = ChannelSolver(channels=(*own, *bases), machine=machine, gateway=gateway)
        blocking = solver.blocking(offer.specs)
        if not blocking:
            return ""
        alone = ChannelSolver(channels=tuple(bases), machine=machine, gateway=gateway)
        if alone.solvable(PythonBuild.parse(offer.python).base_specs):
            return f"blocked by base: {', '.join(blocking)}"
        return f"blocked by base: {not_on_base((offer.python,), offer.machine)}"

    return check


@dataclass(kw_only=True)
class _Seen:
    """What the front page needs of records that are not in memory any more when it is written."""

    lines: list[PackageLine] = field(default_factory=list)
    #: of the trio, and of packages that there are warnings about; none that was yanked
    there: list[Listed] = field(default_factory=list)
    labels: dict[TrainName, str] = field(default_factory=dict)
    variants: list[Variant] = field(default_factory=list)
    updated: str = ""


def page_content(
    project: Project,
    source: LocalChannel,
    url: str = "",
    check: Check | None = None,
    others: Coverage | None = None,
    each: Callable[[PackagePage], object] = lambda _: None,
) -> PageContent:
    """Put together what the front page says; ``each`` takes the page of each package before."""
    feedstock, words = project.declared(), load_data("page.yaml", Words)
    hotfixes = read_hotfixes(project.root / HOTFIXES)
    seen = _seen(project, source, hotfixes, words, each)
    channel = url or feedstock.channel
    found = offers_of(seen.there, channel, feedstock)
    blocked = {offer: reason for offer in found if check and (reason := check(offer))}
    offers = tuple(offer for offer in found if offer not in blocked)
    return PageContent(
        channel=labelled_url(channel, ""),
        base=_bases(feedstock),
        machines=tuple(
            Choice(value=name, **words.machines[name])
            for name in subdirs()
            if any(offer.machine == name for offer in offers)
        ),
        accelerators=_choices((offer.accelerator for offer in offers), accelerator_name),
        pythons=_choices((offer.python for offer in offers), str),
        trains=_train_choices(offers, words),
        train_names=_train_names(words),
        sub_channels={train: labelled_url(channel, label) for train, label in seen.labels.items()},
        offers=offers,
        first=first_offer(offers),
        coverage=coverage_rows(
            matrix_view(feedstock, project.locked()),
            seen.there,
            {_place(offer): reason for offer, reason in blocked.items()},
            others,
        ),
        boards=board_rows(project.locked().cells),
        packages=tuple(seen.lines),
        sizes=Sizes(
            packages=sum(line.size for line in seen.lines),
            wheels=wheel_bytes(seen.variants),
            limits={host.host: host.files for host in hosts().values() if host.files},
        ),
        hotfixes=tuple((hotfix.name, hotfix.reason) for hotfix in hotfixes),
        warnings=tuple(
            (notice.text, notice.advice)
            for notice in package_notices(
                (known.record.subdir, known.record.name, known.record.version)
                for known in seen.there
            )
        ),
        updated=seen.updated,
    )


def _seen(
    project: Project,
    source: LocalChannel,
    hotfixes: Sequence[Hotfix],
    words: Words,
    each: Callable[[PackagePage], object],
) -> _Seen:
    """Read the records of a package at a time, give its page away, and keep what is needed."""
    known, seen = known_packages(project), _Seen()
    wanted = _TRIO | noticed_packages()
    for records in by_name(project.declared(), source):
        variants = [known.get((listed.label, listed.record.key)) for listed in records]
        page = PackagePage(
            name=records[0].record.name,
            summary=words.packages.get(records[0].record.name, ""),
            builds=tuple(
                _build(listed, known.get((listed.label, listed.record.key)), hotfixes)
                for listed in sorted(records, key=_release_first, reverse=True)
            ),
        )
        each(page)
        seen.lines.append(page.line)
        seen.updated = max(seen.updated, page.updated)
        seen.variants += filter(None, variants)
        seen.labels |= {listed.train: listed.label for listed in records if listed.label}
        if page.name in wanted:
            seen.there += (listed for listed in records if not listed.revoked)
    first = list(words.packages)
    seen.lines.sort(
        key=lambda line: (first.index(line.name) if line.name in first else len(first), line.name)
    )
    return seen


def _train_names(words: Words) -> dict[str, str]:
    return {train: row["name"] for train, row in words.trains.items()}


def _bases(feedstock: Feedstock) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for row in feedstock.subdirs.values() for name in row.base))


def _choices(values: Iterable[str], name: Callable[[str], str]) -> tuple[Choice, ...]:
    return tuple(
        Choice(value=value, name=name(value)) for value in sorted(set(values), key=in_order)
    )


def _place(offer: Combination) -> Place:
    train = "stable" if is_release(offer.train) else offer.train
    return (offer.machine, offer.accelerator, offer.python, train, offer.version)


def _train_choices(offers: Sequence[Combination], words: Words) -> tuple[Choice, ...]:
    train_words = {str(train): row for train, row in words.trains.items()}
    return tuple(
        Choice(value=value, name=value)
        if is_release(value)
        else Choice(value=value, **train_words[value])
        for value in sorted({offer.train for offer in offers}, key=train_order)
    )


def _release_first(each: Listed) -> tuple[object, ...]:
    return (each.train == "stable", each.train == "rc", newest_first(each.record))


def _build(each: Listed, variant: Variant | None, hotfixes: Sequence[Hotfix]) -> Build:
    record = each.record
    yanked = next((hotfix.reason for hotfix in hotfixes if record.key in hotfix.yank), "")
    return Build(
        file_name=record.file_name,
        subdir=record.subdir,
        train=each.train,
        version=record.version,
        build=record.build,
        size=record.size,
        sha256=record.sha256,
        date=_date(record),
        license=record.license,
        depends=tuple(spec for spec in record.depends if spec != REVOKED),
        constrains=record.constrains,
        sources=tuple(
            WheelSource(purl=wheel.purl, sha256=wheel.sha256)
            for wheel in (variant.wheels if variant else ())
        ),
        yanked=yanked,
        hotfixes=tuple(
            (hotfix.name, hotfix.reason) for hotfix in hotfixes if hotfix.touches(record)
        ),
    )


def _date(record: Record) -> str:
    if not record.timestamp:
        return ""
    return datetime.fromtimestamp(record.timestamp / 1000, UTC).date().isoformat()


def refuse_default_name(channel: str) -> None:
    """Refuse a page whose commands name a channel that is nobody's.

    Raises SelectionError: as said.
    """
    if channel == "armtorch":
        raise SelectionError(
            "its commands would say -c armtorch, the name that armtorch's own feedstock.yaml has",
            where="channel: in feedstock.yaml",
            next_step="say there what people call your channel, or armtorch page --url",
        )

"""``page``: what a channel, its lock and its hotfixes say, put together for the static page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ConfigDict
from rattler import MatchSpec

from generator.channel import LocalChannel, Record
from generator.channel.destinations import hosts
from generator.channel.patching import HOTFIXES, PACKAGE, REVOKED, Hotfix, read_hotfixes
from generator.channel.retention import newest_first, series_of
from generator.datafiles import load_data, subdirs
from generator.errors import SolveError
from generator.explaining import Coverage, package_notices
from generator.feedstock import Feedstock
from generator.matrix import matrix_view
from generator.model import Variant
from generator.page import (
    Build,
    Choice,
    Offer,
    PackagePage,
    PageContent,
    Sizes,
    Source,
    write_site,
)
from generator.stages.page_coverage import accelerator_name, coverage_rows, in_order, python_of
from generator.stages.project import Project
from generator.stages.publishing import known_packages, wheel_bytes
from generator.testing import Machine, solve

_TRIO = ("pytorch", "torchvision", "torchaudio")


@dataclass(frozen=True, kw_only=True)
class Words:
    """page.yaml: how people call machines and packages."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    machines: dict[str, dict[str, str]]
    packages: dict[str, str]


#: says why an offer cannot be installed, "" when it can
Check = Callable[[Offer], str]


def write_page(
    project: Project,
    source: LocalChannel,
    folder: Path,
    url: str = "",
    check: Check | None = None,
    others: Coverage | None = None,
) -> PageContent:
    """Write the page of a channel folder; ``url`` is what commands name it by.

    What ``check`` finds fault with is not offered, and the coverage says why. ``others`` is what
    other channels have of each cell.

    Raises:
        FeedstockError, LockError: the inputs cannot be used.
        IntegrityError: the channel's repodata is not usable.
        StorageError: the folder cannot be written.

    """
    content = page_content(project, source, url, check, others)
    write_site(content, folder)
    return content


def solvability(feedstock: Feedstock, source: LocalChannel, base: Sequence[str] = ()) -> Check:
    """Return a check that solves each offer with the base channels, or with ``base`` instead."""

    def check(offer: Offer) -> str:
        wanted = next((row for name, row in feedstock.subdirs.items() if name == offer.machine))
        cuda = offer.accelerator.removeprefix("cuda")
        added = [] if cuda == "cpu" else [f"__cuda={cuda[:2]}.{cuda[2]}"]
        try:
            solve(
                list(offer.specs),
                channels=[source.url, *(base or wanted.base)],
                machine=Machine.of(subdirs()[offer.machine], native=False, added=added),
            )
        except SolveError as error:
            return "blocked by base: " + error.what.splitlines()[0].rpartition(": ")[2]
        return ""

    return check


def page_content(
    project: Project,
    source: LocalChannel,
    url: str = "",
    check: Check | None = None,
    others: Coverage | None = None,
) -> PageContent:
    """Put together what the page says."""
    feedstock, words = project.declared(), load_data("page.yaml", Words)
    folders = sorted(path.name for path in source.root.glob("*/") if path.is_dir())
    records = [each for name in folders for each in source.records(name) if each.name != PACKAGE]
    known = known_packages(project)
    hotfixes = read_hotfixes(project.root / HOTFIXES)
    there = [each for each in records if REVOKED not in each.depends]
    channel = url or feedstock.channel
    found = _offers(there, channel, feedstock)
    blocked = {offer: reason for offer in found if check and (reason := check(offer))}
    offers = tuple(offer for offer in found if offer not in blocked)
    return PageContent(
        channel=channel,
        base=_bases(feedstock),
        machines=tuple(
            Choice(value=name, **words.machines[name])
            for name in subdirs()
            if any(offer.machine == name for offer in offers)
        ),
        accelerators=_choices((offer.accelerator for offer in offers), accelerator_name),
        pythons=_choices((offer.python for offer in offers), str),
        trains=_choices((offer.train for offer in offers), _train_name),
        offers=offers,
        first=_first(offers),
        coverage=coverage_rows(
            matrix_view(feedstock, project.locked()),
            there,
            {(o.machine, o.accelerator, o.python, o.version): r for o, r in blocked.items()},
            others,
        ),
        packages=_packages(records, known, hotfixes, words),
        sizes=Sizes(
            packages=sum(record.size for record in records),
            wheels=wheel_bytes(known, (record.key for record in records)),
            limits={host.host: host.files for host in hosts().values() if host.files},
        ),
        hotfixes=tuple((each.name, each.reason) for each in hotfixes),
        warnings=tuple(
            (each.text, each.advice)
            for each in package_notices(
                (record.subdir, record.name, record.version) for record in there
            )
        ),
        updated=max((_date(each) for each in records), default=""),
    )


def _bases(feedstock: Feedstock) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for row in feedstock.subdirs.values() for name in row.base))


def _choices(values: Iterable[str], name: Callable[[str], str]) -> tuple[Choice, ...]:
    return tuple(
        Choice(value=value, name=name(value)) for value in sorted(set(values), key=in_order)
    )


def _train_name(value: str) -> str:
    return value if value[0].isdigit() else value.capitalize()


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _train(record: Record) -> str:
    """Return what the selector calls a release: ``2.10``, or the name of a moving train."""
    train = series_of(record)[-1]
    return _minor(record.version) if train == "stable" else train


def _offers(records: Sequence[Record], channel: str, feedstock: Feedstock) -> tuple[Offer, ...]:
    """Return every combination that the channel has a pytorch for."""
    newest: dict[tuple[str, str, str, str], Record] = {}
    for record in records:
        if record.name != "pytorch" or not (python := python_of(record)):
            continue
        key = (record.subdir, series_of(record)[2], python, _train(record))
        if key not in newest or newest_first(record) > newest_first(newest[key]):
            newest[key] = record
    by_name: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_name[record.name].append(record)
    return tuple(
        _offer(key, newest[key], by_name, channel, feedstock)
        for key in sorted(newest, key=lambda key: tuple(map(in_order, key)))
    )


def _first(offers: Sequence[Offer]) -> int:
    """Return the place of what most people come for: the newest whole trio on a plain Python."""
    known = list(subdirs())
    return max(
        range(len(offers)),
        key=lambda place: (
            -known.index(offers[place].machine),
            len(offers[place].specs),
            not offers[place].python.endswith("t"),
            offers[place].accelerator == "cpu",
            *map(in_order, (offers[place].train, offers[place].python)),
        ),
        default=0,
    )


def _offer(
    key: tuple[str, str, str, str],
    record: Record,
    by_name: dict[str, list[Record]],
    channel: str,
    feedstock: Feedstock,
) -> Offer:
    machine, accelerator, python, train = key
    abi = f"python={python.removesuffix('t')}"
    # with a build string a version without .* is taken whole: =3.14=*_cp314t means ==3.14
    threading = f".*=*_cp{python.replace('.', '')}" if python.endswith("t") else ""
    beside = [
        f"{name}={other.version}"
        for name in ("torchvision", "torchaudio")
        if (other := _companion(record, by_name[name], python, accelerator)) is not None
    ]
    specs = (f"{abi}{threading}", f"pytorch={record.version}={accelerator}*", *beside)
    bases = next((row.base for name, row in feedstock.subdirs.items() if name == machine), ())
    return Offer(
        machine=machine,
        accelerator=accelerator,
        python=python,
        train=train,
        version=record.version,
        specs=specs,
        commands=commands(specs, (channel, *bases), machine),
    )


def _companion(
    torch: Record, others: Sequence[Record], python: str, accelerator: str
) -> Record | None:
    """Return the newest torchvision or torchaudio that was made for this pytorch."""
    fitting = [
        other
        for other in others
        if other.subdir == torch.subdir
        and series_of(other)[2] == accelerator
        and python_of(other) in {python, ""}
        and _pairs(other, torch)
    ]
    return max(fitting, key=newest_first, default=None)


def _pairs(other: Record, torch: Record) -> bool:
    wanted = [MatchSpec(spec) for spec in other.depends if spec.split(" ")[0] == "pytorch"]
    return all(torch.fits(spec) for spec in wanted)


def commands(specs: Sequence[str], channels: Sequence[str], machine: str) -> dict[str, str]:
    """Return the exact text for each tool."""
    quoted = " ".join(f'"{spec}"' if "*" in spec else spec for spec in specs)
    places = " ".join(f"-c {name}" for name in channels)
    listed = "\n".join(f"  - {name}" for name in channels)
    wanted = "\n".join(f"  - {spec}" for spec in specs)
    return {
        "conda": f"conda create -n torch --override-channels {places} {quoted}",
        "mamba": f"mamba create -n torch --override-channels {places} {quoted}",
        "pixi": f"pixi init torch {places} --platform {machine}\ncd torch\npixi add {quoted}",
        "environment.yml": f"name: torch\nchannels:\n{listed}\n  - nodefaults\n"
        f"dependencies:\n{wanted}",
    }


def _packages(
    records: Sequence[Record],
    known: dict[str, Variant],
    hotfixes: Sequence[Hotfix],
    words: Words,
) -> tuple[PackagePage, ...]:
    named: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        named[record.name].append(record)
    first = list(words.packages)
    order = sorted(named, key=lambda n: (first.index(n) if n in first else len(first), n))
    return tuple(
        PackagePage(
            name=name,
            summary=words.packages.get(name, ""),
            builds=tuple(
                _build(record, known.get(record.key), hotfixes)
                for record in sorted(named[name], key=newest_first, reverse=True)
            ),
        )
        for name in order
    )


def _build(record: Record, variant: Variant | None, hotfixes: Sequence[Hotfix]) -> Build:
    yanked = next((each.reason for each in hotfixes if record.key in each.yank), "")
    return Build(
        file_name=record.file_name,
        subdir=record.subdir,
        version=record.version,
        build=record.build,
        size=record.size,
        sha256=record.sha256,
        date=_date(record),
        license=record.license,
        depends=tuple(spec for spec in record.depends if spec != REVOKED),
        constrains=record.constrains,
        sources=tuple(
            Source(purl=wheel.purl, sha256=wheel.sha256)
            for wheel in (variant.wheels if variant else ())
        ),
        yanked=yanked,
        hotfixes=tuple((each.name, each.reason) for each in hotfixes if each.touches(record)),
    )


def _date(record: Record) -> str:
    if not record.timestamp:
        return ""
    return datetime.fromtimestamp(record.timestamp / 1000, UTC).date().isoformat()

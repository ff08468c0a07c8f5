"""``base``: a base of the channel's own for subdirs that no base channel serves."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.utils import canonicalize_name

from generator.atomic import write_bytes
from generator.building import BuildReport, Row
from generator.building.wheelhouse import place_of
from generator.channel import LocalChannel
from generator.channel.derived import digest_of
from generator.channel.serving import Served
from generator.channel.stores import FolderStore
from generator.compiling.apt import Apt
from generator.console import Narrator
from generator.datafiles import subdirs
from generator.debian import (
    Deb,
    Materials,
    Package,
    Pinned,
    Target,
    WheelFile,
    base_rows,
    deb_pins,
    planned,
    staged,
    wheel_pins,
    write,
)
from generator.errors import (
    AbsentError,
    BuildError,
    LockError,
    MalformedError,
    MissingToolError,
    SelectionError,
    UnreachableError,
)
from generator.feedstock import Feedstock, TrainPolicy
from generator.model import Lock, Pin
from generator.project import Project
from generator.rendering import templates
from generator.upstream.offers import Offer
from generator.upstream.opening import index_called
from generator.upstream.reaching import fetch_kept, reached

#: of the templates, and on the channel
_CLIENT: Final = "install.py"
#: downloads of wheels at once
_DOWNLOADS: Final = 4
#: what costs an update the base alone
_SURVIVED: Final = (AbsentError, BuildError, MalformedError, MissingToolError, UnreachableError)


@dataclass(frozen=True, kw_only=True)
class BaseOptions:
    """How to make it."""

    channel: LocalChannel
    jobs: int
    level: int
    force: bool = False


def pinned(project: Project, feedstock: Feedstock, old: Lock) -> dict[str, tuple[Pin, ...]]:
    """Return what each base is made of as Debian's and PyPI's indexes stand now.

    Where one of them cannot be asked, or lacks something, a base stays what the lock has, which is
    said: the rest of an update does not depend on it.
    """
    found: dict[str, tuple[Pin, ...]] = {}
    for subdir, wanted in feedstock.debian.items():
        rows = base_rows()
        target = rows.target(subdir, wanted)
        try:
            apt = _apt(project, target)
            debs = tuple(deb_pins(apt, rows, target.suite))
            with _offering(project, feedstock) as offers:
                wheels = tuple(wheel_pins(offers, rows, target, subdirs()[subdir]))
        except _SURVIVED as error:
            kept = "stays as it was" if subdir in old.base else "is left out"
            project.narrator.warn(f"the base of {subdir} {kept}: {error}")
            if subdir in old.base:
                found[subdir] = old.base[subdir]
        else:
            found[subdir] = (*debs, *wheels)
    return found


def pins_of(project: Project, chosen: Sequence[str]) -> dict[str, tuple[Pinned, ...]]:
    """Return what the lock has for the bases that are named, all where none is.

    Raises SelectionError: feedstock.yaml has no such base. LockError: the lock has nothing for it.
    """
    feedstock, lock = project.declared(), project.locked()
    wanted = [name for name in feedstock.debian if not chosen or name in chosen]
    if not wanted or len(wanted) < len(set(chosen)):
        raise SelectionError(
            f"feedstock.yaml has no base for {', '.join(chosen) or 'any subdir'}",
            where="feedstock.yaml, debian",
            next_step=f"it has these: {', '.join(feedstock.debian) or 'none'}",
        )
    rows, found = base_rows(), {}
    needed = {*rows.debs(), *(canonicalize_name(row.project) for row in rows.wheels)}
    for name in map(str, wanted):
        found[name] = tuple(map(Pinned.of, lock.base.get(name, ())))
        if lacking := sorted(needed - {pin.name for pin in found[name]}):
            raise LockError(
                f"the base of {name} is not locked: there is no {', '.join(lacking[:5])}",
                where=str(project.lock),
                next_step="run armtorch update on Debian or Ubuntu: docs/armv7l.md",
            )
    return found


def make_bases(project: Project, chosen: Sequence[str], options: BaseOptions) -> BuildReport:
    """Fetch what the lock names, make what the channel lacks and index it once.

    Raises as :func:`pins_of` does. AbsentError, UnreachableError, IntegrityError: a file cannot be
    had. MissingToolError: dpkg-deb or patchelf. DataError, LinkageError: rows and files do not fit.
    """
    feedstock, pinned_files = project.declared(), pins_of(project, chosen)
    rows: list[Row] = []
    for subdir, wanted in feedstock.debian.items():
        if (pins := pinned_files.get(subdir)) is None:
            continue
        target = base_rows().target(subdir, wanted)
        paths = _fetched(project, feedstock, target, pins)
        with tempfile.TemporaryDirectory(prefix="armtorch-base-") as folder:
            materials = _materials(target, pins, paths, Path(folder))
            rows += _made(materials, options, Path(folder), project.narrator)
    if any(row.status == "built" for row in rows):
        Served(store=FolderStore(options.channel)).index()
    # no client is made for these machines: what py-rattler needs to be one lies beside the packages
    write_bytes(options.channel.root / _CLIENT, templates.read(_CLIENT))
    return BuildReport(tuple(rows))


def _materials(
    target: Target, pins: Iterable[Pinned], paths: Mapping[str, Path], work: Path
) -> Materials:
    debs = {
        pin.name: Deb(
            pin.name,
            pin.version,
            pin.architecture,
            paths[pin.sha256],
            pin.sha256,
            work / "debs",
        )
        for pin in pins
        if pin.architecture
    }
    wheels = [WheelFile(paths[pin.sha256], pin.sha256) for pin in pins if not pin.architecture]
    return Materials(
        rows=base_rows(),
        target=target,
        debs=debs,
        wheels={each.offer.project: each for each in wheels},
    )


def _made(
    materials: Materials, options: BaseOptions, work: Path, narrator: Narrator
) -> Iterator[Row]:
    """Give a row for each package, in order; nothing is unpacked where the channel has all."""
    channel, subdir = options.channel, materials.target.subdir
    plans = planned(materials)
    there = {each.package.name: channel.find(subdir, each.package.file_name) for each in plans}
    packages: Sequence[Package] = [each.package for each in plans]
    if options.force or None in there.values():
        channel.prepare()
        narrator.say(f"lay out {len(plans)} packages of {materials.target.suite} for {subdir}")
        packages = staged(plans, materials, work / "packages", options.jobs)
    with narrator.task("writing", total=len(packages)) as task:
        for package in packages:
            begun, path = time.monotonic(), there[package.name]
            if wanted := options.force or path is None:
                made = write(package, work / "out", options.level)
                path = channel.place(made, subdir, replace=options.force)
            yield Row(
                id=f"base/{subdir}/{package.name}",
                subdir=subdir,
                status="built" if wanted else "skipped",
                file_name=package.file_name,
                size=path.stat().st_size,
                sha256=digest_of(path),
                seconds=time.monotonic() - begun,
            )
            task.advance(1)


def _fetched(
    project: Project, feedstock: Feedstock, target: Target, pins: Sequence[Pinned]
) -> dict[str, Path]:
    """Bring every file into the wheelhouse, apt's and the index's."""
    with tempfile.TemporaryDirectory(prefix="armtorch-debs-") as folder:
        taken: list[Path] = []

        def by_apt(pin: Pinned) -> str:
            if not taken:  # all at once, when the first one is not there
                lacking = [
                    each
                    for each in pins
                    if each.architecture and not place_of(each, project.wheelhouse).is_file()
                ]
                taken.append(_download(_apt(project, target), lacking, Path(folder)))
            return str(taken[0] / pin.filename)

        with _offering(project, feedstock) as offers:

            def locate(pin: Pinned) -> str:
                if pin.architecture:
                    return by_apt(pin)
                for offer in offers(pin.name):
                    if offer.filename == pin.filename and offer.sha256 in (None, pin.sha256):
                        return offer.url
                raise AbsentError(
                    f"no index has it with sha256 {pin.sha256}",
                    where=pin.filename,
                    next_step="run armtorch update",
                )

            return fetch_kept(project, pins, locate, jobs=_DOWNLOADS)


def _download(apt: Apt, lacking: Sequence[Pinned], folder: Path) -> Path:
    """Let apt fetch packages of certain versions; raises AbsentError where it has others."""
    try:
        apt.run("download", *(each.asked for each in lacking), cwd=folder)
    except BuildError as error:
        raise AbsentError(
            f"apt no longer has what the lock names: {error.what}",
            where=f"{', '.join(apt.suites)} of Debian",
            next_step="run armtorch update: a mirror keeps the newest of each package alone",
        ) from error
    return folder


def _apt(project: Project, target: Target) -> Apt:
    apt = Apt(
        folder=project.cache / "debian" / f"{target.suite}-{target.architecture}",
        architectures=(target.architecture,),
        suites=(target.suite,),
    )
    apt.update()
    return apt


@contextmanager
def _offering(project: Project, feedstock: Feedstock) -> Iterator[Callable[[str], Iterable[Offer]]]:
    """Give a function that says which wheels of a project the stable train's indexes have."""
    with reached(project, feedstock.indexes) as (_, indexes):
        stable = feedstock.trains.get("stable", TrainPolicy()).indexes

        def offers(name: str) -> Iterable[Offer]:
            for each in stable:
                index = index_called(indexes, each)
                try:
                    if index is not None:
                        return index.offers(name)
                except AbsentError:
                    continue
            return ()

        yield offers

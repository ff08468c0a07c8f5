"""``build`` and ``test``: wheels into packages on a channel folder, and packages into prefixes."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from generator.building import (
    BuildReport,
    Row,
    Savings,
    Settings,
    build,
    file_name,
    is_there,
    link_wheelhouse,
)
from generator.building.provenance import provenances
from generator.channel import LocalChannel
from generator.channel.serving import Served
from generator.channel.stores import FolderStore
from generator.datafiles import subdirs
from generator.errors import AbsentError, MissingToolError, SelectionError
from generator.feedstock import Feedstock
from generator.inspecting.linkage import LinkageCheck
from generator.model import Subdir, Variant, Wheel
from generator.model.provenance import Provenance
from generator.packages import shared
from generator.project import Project, base_channels
from generator.stages.render import refuse_edited
from generator.stages.update import fetch_wheels
from generator.testing import (
    Machine,
    PackageReport,
    Runner,
    choose_runner,
    run_package_tests,
    sysroot_glibc,
)
from generator.urls import local_path

#: downloads at once: enough to fill a line, few enough for a mirror
_DOWNLOADS = 4


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """How to build."""

    channel: LocalChannel
    #: variants at once
    jobs: int
    #: zstd level; None for the feedstock's
    level: int | None = None
    force: bool = False
    #: the repository's address, to be stated with the commit (CEP 31); "" to state neither
    provenance: str = ""


def build_variants(
    project: Project, chosen: Sequence[Variant], options: BuildOptions
) -> BuildReport:
    """Fetch the wheels, build what the channel lacks and index it once.

    Raises:
        StaleError: a recipe is not what the lock and the templates give (its digest would lie).
        AbsentError, UnreachableError, IntegrityError: a wheel cannot be had.
        AbsentError, MissingToolError, SelectionError: the provenance cannot be told.
        StorageError: no space, or the channel cannot be written.

    """
    feedstock, lock = project.declared(), project.known()
    refuse_edited(project, chosen)
    stated = provenances(project, lock, chosen, options.provenance) if options.provenance else {}
    narrator = project.narrator
    wheels = _wheels_of_what_lacks(project, chosen, options, stated)
    fetch_wheels(project, feedstock, wheels, jobs=_DOWNLOADS)
    link_wheelhouse(project.tree, project.wheelhouse, wheels)
    settings = Settings(
        repo=project.tree,
        wheelhouse=project.wheelhouse,
        level=options.level or feedstock.policies.compression_level,
        jobs=options.jobs,
        force=options.force,
        audit=LinkageCheck(lock, project.wheelhouse),
        provenance=stated,
    )
    rows: dict[str, Row] = {}
    for label in labels(feedstock, chosen):
        own = [variant for variant in chosen if feedstock.label(variant.train) == label]
        channel = options.channel.labelled(label)
        report = build(own, channel=channel, settings=settings, narrator=narrator)
        fresh = {
            f"{row.subdir}/{row.file_name}": channel.root / row.subdir / row.file_name
            for row in report.rows
            if row.status == "built"
        }
        Served(store=FolderStore(channel), fresh=fresh).index()
        rows |= {row.id: row for row in report.rows}
    if "" not in labels(feedstock, chosen):
        # what a label's packages need beside them is the channel's own, and may have come by itself
        Served(store=FolderStore(options.channel)).index()
    return BuildReport(tuple(rows[variant.id] for variant in chosen))


def _wheels_of_what_lacks(
    project: Project,
    chosen: Sequence[Variant],
    options: BuildOptions,
    stated: Mapping[str, Provenance],
) -> tuple[Wheel, ...]:
    """Return the wheels of what the channel has not: the others need not be downloaded."""
    feedstock = project.declared()
    return tuple(
        wheel
        for variant in chosen
        if not is_there(
            variant,
            repo=project.tree,
            channel=options.channel.labelled(feedstock.label(variant.train)),
            force=options.force,
            provenance=stated.get(variant.id),
        )
        for wheel in variant.wheels
    )


def labels(feedstock: Feedstock, chosen: Sequence[Variant]) -> tuple[str, ...]:
    """Return the labels that variants belong to, the channel itself ("") first."""
    return tuple(sorted({feedstock.label(variant.train) for variant in chosen}))


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Where packages are tested."""

    channel: LocalChannel
    #: base channels; empty for the feedstock's own per subdir
    base: tuple[str, ...] = ()
    #: virtual packages that replace the machine's, ``__cuda=13.0``
    virtual_packages: tuple[str, ...] = ()
    #: folder with the loader and C library of a foreign Linux
    sysroot: Path | None = None
    #: without an emulator: refuse, or install and check contents only
    must_run: bool = True


def refuse_no_channel(base: Sequence[str], own: LocalChannel) -> None:
    """Raise SelectionError for a base channel that is a folder and no channel (CEP 26).

    The channel that is built, ``own``, may be its own base, and is not there yet.
    """
    for name in base:
        # as conda takes it: me/label/dev is a name
        path = local_path(name) or (Path(name) if name.startswith((".", "/", "~")) else None)
        if path is None or name == own.url:
            continue
        if not any(path.expanduser().glob("*/repodata.json*")):
            raise SelectionError(
                "it is no channel: no folder of a subdir there has a repodata.json",
                where=f"--base {name}",
                next_step="name a channel, conda-forge for example, its URL, or its folder",
            )


def run_tests(
    project: Project, chosen: Sequence[Variant], options: RunOptions
) -> tuple[PackageReport, ...]:
    """Install each package of ``chosen`` into a fresh prefix and run the tests it carries.

    Raises:
        AbsentError: a package is not on the channel.
        MissingToolError: it could be emulated here, but the emulator or C library is not there,
            and ``options.must_run``.
        UnreachableError: a channel does not answer.

    """
    feedstock = project.declared()
    channels = {
        variant.id: options.channel.labelled(feedstock.label(variant.train)) for variant in chosen
    }
    paths = {variant.id: _package(project, variant, channels[variant.id]) for variant in chosen}
    reports = []
    with tempfile.TemporaryDirectory(prefix="armtorch-packages-") as cache:
        for variant in chosen:
            # a package for every platform is tried on the first one that the feedstock names
            name = variant.subdir if variant.subdir != "noarch" else next(iter(feedstock.subdirs))
            subdir = subdirs()[name]
            runner = _runner(subdir, options)
            machine = machine_of(variant, subdir, options, native=runner.mode == "native")
            report = run_package_tests(
                paths[variant.id],
                channels=list(
                    dict.fromkeys(
                        [
                            channels[variant.id].url,
                            options.channel.url,  # the metapackages, of every train
                            *(options.base or base_channels(feedstock, name)),
                        ]
                    )
                ),
                machine=machine,
                runner=runner,
                package_cache=Path(cache),
                narrator=project.narrator,
            )
            reports.append(replace(report, how=f"{report.how}{_not_on_a_gpu(variant, machine)}"))
    return tuple(reports)


def machine_of(variant: Variant, subdir: Subdir, options: RunOptions, *, native: bool) -> Machine:
    """Return the machine that a variant is installed for: the one its cell is planned for.

    `armtorch matrix --against-base` and `ci plan` solve for the same driver, so that what is
    planned can be tested where there is no GPU (decision D19).
    """
    return Machine.of(
        subdir,
        native=native,
        driver=variant.accelerator.driver,
        added=_virtual_packages(options),
    )


def _not_on_a_gpu(variant: Variant, machine: Machine) -> str:
    """Say what was only taken to be there."""
    assumed = [each for each in variant.accelerator.driver if each in machine.virtual_packages]
    return f"; as if {' '.join(assumed)} were there, so not run on a GPU" if assumed else ""


def _virtual_packages(options: RunOptions) -> tuple[str, ...]:
    """Programs meet the C library of the sysroot, so that is what the solver is told of."""
    glibc = sysroot_glibc(options.sysroot) if options.sysroot is not None else None
    return (*((f"__glibc={glibc}",) if glibc else ()), *options.virtual_packages)


def _runner(subdir: Subdir, options: RunOptions) -> Runner:
    try:
        return choose_runner(subdir, sysroot=options.sysroot)
    except MissingToolError as error:
        if options.must_run:
            raise
        return Runner(mode="none", description=f"not run: {error.what}")


def built_packages(
    channel: LocalChannel, project: Project | None = None, chosen: Sequence[Variant] = ()
) -> tuple[Path, ...]:
    """Return the package files of a channel and its labels, or of chosen variants of a project.

    Raises:
        AbsentError: the channel has none, or lacks one of the chosen.

    """
    if project is not None:
        feedstock = project.declared()
        return tuple(
            _package(project, variant, channel.labelled(feedstock.label(variant.train)))
            for variant in chosen
        )
    found = tuple(sorted(channel.root.rglob("*.conda")))
    if not found:
        raise AbsentError(
            "there are no packages",
            where=str(channel.root),
            next_step="build some: armtorch up, or armtorch build; or name the folder: --channel",
        )
    return found


def _package(project: Project, variant: Variant, channel: LocalChannel) -> Path:
    """Find the file of a variant; its name follows from the recipe."""
    name = file_name(variant, project.tree)
    if (path := channel.find(variant.subdir, name)) is not None:
        return path
    raise AbsentError(
        f"the channel has no {name}",
        where=str(channel.root),
        next_step=f"build it: armtorch build '{variant.id}' --out {channel.root}",
    )


def savings(chosen: Sequence[Variant], report: BuildReport) -> Savings:
    """Compare the packages with the wheels that pip would need for the same Pythons.

    The wheel that the shared packages are taken from counts only where its own Python is chosen,
    too.
    """
    packages = {(row.subdir, row.file_name): row.size for row in report.rows}
    wheels = {
        wheel.sha256: wheel.size
        for variant in chosen
        if variant.package not in shared()
        for wheel in variant.wheels
    }
    return Savings(sum(packages.values()), sum(wheels.values()))

"""``test``: packages into fresh prefixes, where the tests that they carry run."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from generator.channel import LocalChannel
from generator.channel.built import package_of
from generator.datafiles import subdirs
from generator.errors import MissingToolError
from generator.model import Subdir, Variant
from generator.packages import choices
from generator.project import Project, base_channels
from generator.testing import (
    Machine,
    PackageReport,
    Runner,
    choose_runner,
    run_package_tests,
    sysroot_glibc,
)


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


def run_tests(
    project: Project, chosen: Sequence[Variant], options: RunOptions
) -> tuple[PackageReport, ...]:
    """Install each package of ``chosen`` into a fresh prefix and run the tests it carries.

    Raises AbsentError: a package is not on the channel.
    MissingToolError: it could be emulated here, but the emulator or C library is not there, and
        ``options.must_run``.
    UnreachableError: a channel does not answer.
    """
    feedstock = project.declared()
    channels = {
        variant.id: options.channel.labelled(feedstock.label(variant.train)) for variant in chosen
    }
    paths = {variant.id: package_of(project, variant, channels[variant.id]) for variant in chosen}
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
                # of a choice one build is for channels that have what it asks for
                needed=variant.package not in choices(),
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

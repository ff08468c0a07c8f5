"""``build``: wheels into packages on a channel folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from generator import atomic
from generator.building import (
    BuildReport,
    Contents,
    Judgement,
    Row,
    Savings,
    Settings,
    ToBuild,
    build,
    link_wheelhouse,
    plan,
)
from generator.building.provenance import provenances
from generator.channel import LocalChannel
from generator.channel.built import labels, wheel_bytes
from generator.channel.serving import Served
from generator.channel.stores import FolderStore
from generator.feedstock import Feedstock
from generator.model import Lock, Variant
from generator.model.provenance import Provenance
from generator.project import Project
from generator.rendering import OWN_FOLDER, own_package
from generator.stages.render import refuse_edited

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
    #: to be published, at the feedstock's level for that
    published: bool = False
    force: bool = False
    #: the repository's address, to be stated with the commit (CEP 31); "" to state neither
    provenance: str = ""


@dataclass(frozen=True)
class _Linkage:
    """The linkage audit, loaded by the workers that need it: a run that builds nothing does not."""

    lock: Lock
    wheelhouse: Path

    def __call__(self, contents: Contents) -> Judgement:
        from generator.inspecting.linkage import LinkageCheck  # noqa: PLC0415

        return LinkageCheck(self.lock, self.wheelhouse)(contents)


def _level(feedstock: Feedstock, chosen: Sequence[Variant], options: BuildOptions) -> int:
    """Return the level that packages have: a nightly is not worth the minutes of a release's."""
    released = options.published and all(each.train == "stable" for each in chosen)
    policies = feedstock.policies
    return policies.published_level if released else policies.compression_level


def build_variants(
    project: Project, chosen: Sequence[Variant], options: BuildOptions
) -> BuildReport:
    """Fetch the wheels, build what the channel lacks and index it once.

    Raises StaleError: a recipe is not what the lock and the templates give (its digest would lie).
    AbsentError, UnreachableError, IntegrityError: a wheel cannot be had.
    AbsentError, MissingToolError, SelectionError: the provenance cannot be told.
    StorageError: no space, or the channel cannot be written.
    """
    feedstock, lock = project.declared(), project.known()
    refuse_edited(project, chosen)
    stated = provenances(project, lock, chosen, options.provenance) if options.provenance else {}
    narrator = project.narrator
    planned = _planned(project, chosen, options, stated)
    lacking = [each.variant for each in planned.values() if isinstance(each, ToBuild)]
    if lacking:
        from generator.upstream.reaching import fetch_wheels  # noqa: PLC0415 - else nothing asks it

        wheels = tuple(wheel for variant in lacking for wheel in variant.wheels)
        fetch_wheels(project, feedstock, wheels, jobs=_DOWNLOADS)
        link_wheelhouse(project.tree, project.wheelhouse, wheels)
    settings = Settings(
        repo=project.tree,
        wheelhouse=project.wheelhouse,
        level=options.level or _level(feedstock, chosen, options),
        jobs=options.jobs,
        audit=_Linkage(lock, project.wheelhouse),
        provenance=stated,
    )
    rows: dict[str, Row] = {}
    carried = _carry(project, chosen, options, settings)
    for label in labels(feedstock, chosen):
        own = [planned[each.id] for each in chosen if feedstock.label(each.train) == label]
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
    return BuildReport((*(rows[variant.id] for variant in chosen), *carried))


def _carry(
    project: Project, chosen: Sequence[Variant], options: BuildOptions, settings: Settings
) -> tuple[Row, ...]:
    """Put armtorch itself on the channel, which goes with the metapackages; returns its row.

    It is built as the others are, from a tree of its own: what it is made of is not committed.
    """
    own = None
    if any(each.subdir == "noarch" for each in chosen):
        own = own_package(project.declared(), project.known())
    if own is None:
        return ()
    root = project.root / OWN_FOLDER
    for path, content in own.files.items():
        if not (there := root / path).is_file() or there.read_bytes() != content:
            atomic.write_bytes(there, content, durable=False)
    channel = options.channel.labelled(project.declared().label(own.variant.train))
    planned = plan(own.variant, repo=root, channel=channel, force=options.force)
    settings = replace(
        settings, repo=root, wheelhouse=root / "wheelhouse", audit=None, provenance={}
    )
    report = build([planned], channel=channel, settings=settings, narrator=project.narrator)
    if report.built:
        Served(store=FolderStore(channel)).index()
    # of the wheels that pip would fetch, and that packages are compared with, it is none
    return tuple(replace(row, wheels={}) for row in report.rows)


def _planned(
    project: Project,
    chosen: Sequence[Variant],
    options: BuildOptions,
    stated: Mapping[str, Provenance],
) -> dict[str, ToBuild | Row]:
    """Return what is to be done for each variant: the wheels of what is there are not fetched."""
    feedstock = project.declared()
    return {
        variant.id: plan(
            variant,
            repo=project.tree,
            channel=options.channel.labelled(feedstock.label(variant.train)),
            force=options.force,
            provenance=stated.get(variant.id),
        )
        for variant in chosen
    }


def savings(chosen: Sequence[Variant], report: BuildReport) -> Savings:
    """Compare the packages with the wheels that pip would need for the same Pythons.

    The wheel that the shared packages are taken from counts only where its own Python is chosen,
    too.
    """
    packages = {(row.subdir, row.file_name): row.size for row in report.rows}
    return Savings(sum(packages.values()), wheel_bytes(chosen))

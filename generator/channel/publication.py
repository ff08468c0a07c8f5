"""``publish``: packages of a local channel to a destination, and what hotfixes say of them."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from generator.channel.attesting import SUFFIX, Attest, Attesting, refuse_unattested
from generator.channel.built import known_packages
from generator.channel.destinations import labelled_url
from generator.channel.hosted import HostedTarget
from generator.channel.local import LocalChannel
from generator.channel.patching import HOTFIXES, PACKAGE, Hotfix, read_hotfixes
from generator.channel.places import Opened, open_place
from generator.channel.publishable import (
    refuse_no_train,
    refuse_not_installable,
    refuse_other_labels,
)
from generator.channel.publishing import (
    Plan,
    Sender,
    make_plan,
    refuse_conflicts,
    refuse_overspending,
)
from generator.channel.retention import Retired, retire
from generator.channel.serving import Served
from generator.channel.stores import Outgoing
from generator.channel.variables import variable
from generator.errors import AbsentError, SelectionError
from generator.project import Project
from generator.provider.github import has_identity


@dataclass(frozen=True, kw_only=True)
class PublishOptions:
    """What goes where."""

    source: LocalChannel
    #: a name in feedstock.yaml's destinations, or an address
    to: str
    label: str = ""
    #: over ``<subdir>/<file name>``; empty for everything
    globs: tuple[str, ...] = ()
    force: bool = False
    jobs: int = 4
    attest: Attest = "never"
    #: folder with a bundle per package, instead of signing at the upload
    attestations: Path | None = None
    #: base channels that each package is solved with before anything is sent
    base: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Publication:
    """A plan and the place it is for."""

    place: Opened
    plan: Plan
    hotfixes: tuple[Hotfix, ...]
    #: attestations that go beside packages of a channel of files, by the packages' keys
    bundles: dict[str, Path]


def plan_publication(project: Project, options: PublishOptions) -> Publication:
    """Say what would be published, without sending anything.

    Raises AbsentError: the local channel has no such package.
    ConflictError: other bytes are there under a name, and no ``force``.
    BudgetError: the destination would hold too much.
    UnreachableError, DeclinedError: the destination does not say what it has.
    SelectionError: packages are to be attested and cannot be.
    MalformedError, IntegrityError: an attestation is none, or about something else.
    SolveError: a package could not be installed: the channel would lack what it needs.
    """
    place = open_place(project, options.to, options.label)
    refuse_no_train(project, options.label, place)
    source = _source(project, options.source, place)
    packages = outgoing(source, options.globs)
    if place.train is not None and source is options.source:
        refuse_other_labels(place.label, packages, known_packages(project))
    plan = make_plan(place.target, packages, force=options.force, budget=place.budget)
    refuse_conflicts(plan, place.address)
    if plan.budget is not None and plan.bytes_after > plan.budget:
        refuse_overspending(plan, place.address, retirable(place, packages))
    refuse_overspending(plan, place.address, ())
    beside = open_place(project, options.to, main=True) if place.label else None
    refuse_not_installable(project, plan, place, beside, options.base)
    attesting = attesting_of(project, place, options)
    bundles = _bundles(project, place, plan, attesting)
    if isinstance(place.target, HostedTarget):
        place = replace(place, target=replace(place.target, attesting=attesting))
    hotfixes = read_hotfixes(project.root / HOTFIXES)
    return Publication(place=place, plan=plan, hotfixes=hotfixes, bundles=bundles)


def _bundles(
    project: Project, place: Opened, plan: Plan, attesting: Attesting | None
) -> dict[str, Path]:
    """Return the bundles of packages that go up, and of those that are there without a change."""
    if attesting is None or attesting.bundles is None:
        return {}
    found = {}
    declared = labelled_url(project.declared().channel, place.label)
    names = (place.address.url, *([declared] if place.store is not None else []))
    for row in plan.rows:
        package, path = row.package, attesting.bundles / f"{row.package.path.name}{SUFFIX}"
        if row.action == "skip" and (
            not path.is_file() or place.target.sha256(package.key) != package.record.sha256
        ):
            continue
        attesting.check(package, *names)
        found[package.key] = path
    return found


def _source(project: Project, channel: LocalChannel, place: Opened) -> LocalChannel:
    """Return where a label's packages are built to, below the channel; else the channel itself."""
    if place.train is not None and (own := channel.labelled(place.label)).root.is_dir():
        return own
    if others := [label for label in channel.labels() if label != place.label]:
        project.narrator.warn(
            "packages of other trains are published by a command of their own: "
            + ", ".join(f"--label {label}" for label in others)
        )
    return channel


def attesting_of(project: Project, place: Opened, options: PublishOptions) -> Attesting | None:
    """Say how packages get their attestations; None: not at all.

    Raises SelectionError: they cannot be attested, and are to be.
    """
    wanted = options.attestations is not None or options.attest == "always"
    if not wanted and options.attest == "never":
        return None
    try:
        refuse_unattested(
            place.address,
            bundled=options.attestations is not None,
            key=bool(variable(project.environment, place.address.host.variable)),
            identity=has_identity(project.environment),
        )
    except SelectionError as error:
        if wanted:
            raise
        project.narrator.warn(f"published without attestations: {error.what}")
        return None
    return Attesting(bundles=options.attestations)


def publish(project: Project, publication: Publication, *, jobs: int = 4) -> None:
    """Carry out a plan: packages first, then index, patches and run exports.

    Raises UnreachableError, DeclinedError, ConflictError, StorageError: what came is indexed, and
    the same command goes on from there.
    """
    place = publication.place
    fresh = {
        row.package.key: row.package.path for row in publication.plan.chosen("upload", "replace")
    }
    served = (
        Served(
            store=place.store,
            hotfixes=publication.hotfixes,
            fresh=fresh,
            bundles=publication.bundles,
            narrator=project.narrator,
        )
        if place.store is not None
        else None
    )
    Sender(narrator=project.narrator, jobs=jobs).send(place.target, publication.plan, served=served)


def outgoing(source: LocalChannel, globs: Sequence[str] = ()) -> tuple[Outgoing, ...]:
    """Return the packages of a local channel, metapackages last and what they need first.

    Raises AbsentError: there are none, or none that a glob names. IntegrityError: the channel's
    repodata is not usable.
    """
    found = [
        Outgoing(path=source.root / record.key, record=record)
        for folder in sorted(path.name for path in source.root.glob("*/") if path.is_dir())
        for record in source.records(folder)
        if record.name != PACKAGE
    ]
    for glob in globs:
        if not any(fnmatch.fnmatchcase(each.key, glob) for each in found):
            raise AbsentError(
                f"it has no package {glob!r}",
                where=str(source.root),
                next_step="globs are over <subdir>/<file name>, for example 'linux-aarch64/py*'",
            )
    chosen = [
        each for each in found if not globs or any(fnmatch.fnmatchcase(each.key, g) for g in globs)
    ]
    if not chosen:
        raise AbsentError(
            "it has no packages",
            where=str(source.root),
            next_step="build some: armtorch up, or armtorch build; or name the channel with --from",
        )
    return tuple(sorted(chosen, key=lambda each: (-each.record.size, each.key)))


def retirable(place: Opened, coming: Sequence[Outgoing] = ()) -> tuple[Retired, ...]:
    """Say what the destination's retention would take away once `coming` is there."""
    there = {record.key: record for record in place.records()}
    new = {each.key: each.record for each in coming}
    return retire(
        tuple((there | new).values()),
        place.retention,
        datetime.now(UTC),
        pinned=tuple(new),
        train=place.train,
    )

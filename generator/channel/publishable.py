"""What is refused before anything is sent: packages nobody can install, and labels of no train."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from generator.channel.destinations import Address
from generator.channel.patching import HOTFIXES, read_hotfixes
from generator.channel.places import Opened
from generator.channel.publishing import Plan
from generator.channel.repodata import Record, named
from generator.channel.stores import Outgoing
from generator.datafiles import subdirs
from generator.errors import AbsentError, SelectionError, SolveError
from generator.matrix import variants
from generator.model import Accelerator
from generator.model.accelerator import accelerator_of
from generator.naming.projects import name_map
from generator.packages import shared, unbound
from generator.project import Project
from generator.testing import ChannelSolver, Machine, write_record_channel
from generator.transport.gateway import open_gateway
from generator.urls import channel_url


def refuse_not_installable(
    project: Project,
    plan: Plan,
    place: Opened,
    beside: Opened | None,
    base: Sequence[str] = (),
) -> None:
    """Refuse packages whose own channel's part would be missing there, such as their libtorch.

    ``beside`` is the channel that a label's packages are used with; ``base`` are channels that each
    is solved with besides, empty for records alone.
    Raises SolveError: as said, or the base channels lack what they need.
    UnreachableError, DeclinedError: the destination does not say what it has.
    FeedstockError: a hotfix cannot be read; what is yanked counts as gone.
    """
    coming = [row.package.record for row in plan.chosen("upload", "replace")]
    feedstock = project.declared()
    known = variants(feedstock, project.locked())
    own = {
        *shared(),
        *(name_map().row(each).conda for each in feedstock.packages),
        *(each.package for each in known if each.package not in unbound()),
    }
    if not base and not lacking(coming, (), own):
        return  # whatever is there
    there: list[Record] = []
    for each in (place, beside):
        if each is not None:
            try:
                there += each.records()
            except AbsentError:
                continue  # a channel that begins with this
    yanked = {key for each in read_hotfixes(project.root / HOTFIXES) for key in each.yank}
    kept = [record for record in there if record.key not in yanked]
    refuse_lacking(lacking(coming, kept, own), place.address)
    if base:
        found = blocked(coming, [*kept, *coming], base)
        refuse_lacking(found, place.address, f" or {', '.join(base)}")


def blocked(
    coming: Sequence[Record], index: Iterable[Record], base: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """Return what packages need that neither an index nor the base channels have.

    Each is solved alone, for a common machine of its kind with a driver for its CUDA line. Those of
    no platform are not: they have no files, and some ask on purpose for what there may be nowhere.
    Raises UnreachableError: a base channel does not answer.
    """
    rows = {record.key: record for record in index}.values()
    found: dict[str, tuple[str, ...]] = {}
    with tempfile.TemporaryDirectory(prefix="armtorch-records-") as folder:
        own = write_record_channel(((r.file_name, _row(r)) for r in rows), Path(folder))
        gateway = open_gateway()
        for record in coming:
            if record.subdir == "noarch":
                continue
            driver = Accelerator.parse(accelerator_of(record.build, record.depends)).driver
            solver = ChannelSolver(
                channels=(own, *map(channel_url, base)),
                machine=Machine.of(subdirs()[record.subdir], native=False, driver=driver),
                gateway=gateway,
            )
            exact = f"{record.name} =={record.version} {record.build}"
            if not solver.solvable([exact]):
                found[record.key] = solver.blocking(record.depends) or (exact,)
    return found


def _row(record: Record) -> dict[str, Any]:
    return {key: value for key, value in vars(record).items() if key != "file_name"}


def lacking(
    coming: Iterable[Record], there: Iterable[Record], own: Collection[str]
) -> dict[str, tuple[str, ...]]:
    """Return what packages need that the channel will not have, by ``<subdir>/<file name>``.

    A package that needs one which cannot be installed itself lacks that one, too. Records are
    enough: nothing is fetched, and base channels are not asked.
    ``own`` are names of packages that no base channel has in this form.
    Raises IntegrityError: a dependency is no match spec.
    """
    by_name: defaultdict[str, list[Record]] = defaultdict(list)
    left = list(coming)
    for record in (*there, *left):
        by_name[record.name].append(record)
    found: dict[str, tuple[str, ...]] = {}
    while True:
        bad = {record.key: unmet for record in left if (unmet := (*_unmet(record, by_name, own),))}
        if not bad:
            return found
        found |= bad
        for record in left:
            if record.key in bad:
                by_name[record.name].remove(record)
        left = [record for record in left if record.key not in bad]


def _unmet(record: Record, by_name: dict[str, list[Record]], own: Collection[str]) -> Iterator[str]:
    for name in sorted({named(spec) for spec in record.depends} & set(own)):
        for spec in record.needs(name):
            if not any(
                other.fits(spec)
                for other in by_name.get(name, ())
                if "noarch" in {record.subdir, other.subdir} or record.subdir == other.subdir
            ):
                yield str(spec)


def refuse_lacking(
    found: dict[str, tuple[str, ...]], destination: Address, beside: str = ""
) -> None:
    """Raise SolveError where a package could not be installed from the destination."""
    if not found:
        return
    shown = "; ".join(f"{key} needs {', '.join(specs)}" for key, specs in list(found.items())[:3])
    more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
    raise SolveError(
        f"what they need would not be on the channel{beside}: {shown}{more}",
        where=str(destination),
        next_step="build it (armtorch build), and publish it before or with them: GLOBs that name "
        "it, too, or none",
    )


def refuse_no_train(project: Project, asked: str, place: Opened) -> None:
    """Refuse a label that is no train's and that feedstock.yaml does not declare either.

    Raises SelectionError: as said: the channel's stable packages would go there.
    """
    feedstock = project.declared()
    if not asked or (place.address.host.label == "option" and asked == "main"):
        return
    labels = sorted({label for train in feedstock.trains if (label := feedstock.label(train))})
    declared = {each.label for each in feedstock.destinations.values()}
    if place.train is None and asked not in declared:
        raise SelectionError(
            f"no train of feedstock.yaml has the label {asked!r}",
            where="--label",
            next_step=f"use one of: {', '.join(labels) or 'none has one'}; or declare a "
            "destination with that label under destinations:",
        )


def refuse_other_labels(
    label: str, packages: Sequence[Outgoing], known: Collection[tuple[str, str]]
) -> None:
    """Refuse packages that the lock has for another label than the one they are to go to.

    Raises SelectionError: as said.
    """
    labels = {key: of for of, key in known if (label, key) not in known}
    if others := [each.key for each in packages if each.key in labels]:
        raise SelectionError(
            f"{others[0]} is none of its packages, but of "
            + (labels[others[0]] or "the channel itself"),
            where=f"--label {label}",
            next_step=f"name the folder its own are in with --from, label/{label} of the channel",
        )

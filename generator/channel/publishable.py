"""What is refused before anything is sent: packages nobody can install, and labels of no train."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from generator.channel.closing import lacking, refuse_lacking
from generator.channel.patching import HOTFIXES, read_hotfixes
from generator.channel.publishing import Plan
from generator.channel.repodata import Record
from generator.channel.stores import Outgoing
from generator.errors import AbsentError, SelectionError
from generator.matrix import variants
from generator.naming.projects import name_map
from generator.packages import shared, unbound
from generator.project import Project

if TYPE_CHECKING:
    from generator.channel.publication import Opened


def refuse_not_installable(
    project: Project, plan: Plan, place: Opened, beside: Opened | None
) -> None:
    """Refuse packages whose own channel's part would be missing there, such as their libtorch.

    Args:
        project: says which packages no base channel has.
        plan: what goes there.
        place: the destination.
        beside: the channel that a label's packages are used with.

    Raises:
        SolveError: as said.
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
    if not lacking(coming, (), own):
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


def refuse_no_train(project: Project, asked: str, place: Opened) -> None:
    """Refuse a label that is no train's and that feedstock.yaml does not declare either.

    Raises:
        SelectionError: as said: the channel's stable packages would go there.

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

    Raises:
        SelectionError: as said.

    """
    labels = {key: of for of, key in known if (label, key) not in known}
    if others := [each.key for each in packages if each.key in labels]:
        raise SelectionError(
            f"{others[0]} is none of its packages, but of "
            + (labels[others[0]] or "the channel itself"),
            where=f"--label {label}",
            next_step=f"name the folder its own are in with --from, label/{label} of the channel",
        )


def refuse_default_name(channel: str) -> None:
    """Refuse a page whose commands name a channel that is nobody's.

    Raises:
        SelectionError: as said.

    """
    if channel == "armtorch":
        raise SelectionError(
            "its commands would say -c armtorch, the name that armtorch's own feedstock.yaml has",
            where="channel: in feedstock.yaml",
            next_step="say there what people call your channel, or armtorch page --url",
        )

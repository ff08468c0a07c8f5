"""Who judges a release before it is locked, and the proof that what is locked renders (D13)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import get_args

from generator.errors import ArmtorchError
from generator.feedstock import Feedstock
from generator.matrix import variants
from generator.model import Cell, Finding, Held, HeldCell, Lock, PythonBuild, Sharing, Wheel
from generator.model.wheel import Metadata, ProjectName
from generator.packages import projects
from generator.rendering import check_tree, recipe_files, recipe_tree, recipes
from generator.updating.cells import bundled_by, wheel_row
from generator.updating.judging import AGAINST, Judge, Prospect, finding_of
from generator.updating.member_judge import MemberJudge
from generator.updating.name_judge import NameJudge
from generator.updating.pairing_judge import PairingJudge
from generator.updating.recorded_judge import RecordedJudge
from generator.upstream import Offer, WheelFacts, WheelReader


def judges(feedstock: Feedstock, reader: WheelReader, old: Lock) -> tuple[Judge, ...]:
    """Return the judges of an update, cheap ones first; ``old`` knows what builds showed."""
    return (
        RecordedJudge(lock=old),
        NameJudge(feedstock=feedstock, reader=reader, narrator=reader.narrator),
        MemberJudge(reader=reader),
        RecipeJudge(feedstock=feedstock, reader=reader),
        PairingJudge(reader),
    )


@dataclass(frozen=True, kw_only=True)
class RecipeJudge:
    """The judge of last resort: writes the recipes of a release, and says why they cannot be."""

    feedstock: Feedstock
    reader: WheelReader

    def __call__(self, prospect: Prospect) -> tuple[Finding, ...]:
        """Return what keeps the recipes of a release from being written; see `Judge`."""
        offers = (*prospect.wheels.values(), *prospect.torch.values())
        if any(offer.sha256 is None for offer in offers):
            return ()  # it is identified once it is chosen, and the whole lock is proven then
        metadata: dict[str, Metadata] = {}
        facts = self._facts(prospect.torch), self._facts(prospect.wheels)
        torch, own = (self._rows(prospect, each, metadata) for each in facts)
        bundled = bundled_by((o.project, f) for each in facts for o, f in each.values())
        # the usual answer in one rendering; which Python it is takes one for each
        whole = replace(_cell(prospect, torch, own), bundled=bundled)
        if self._refusal(prospect.project, whole, metadata) is None:
            return ()
        kept: dict[PythonBuild, Wheel] = {}
        found: list[Finding] = []
        for python in sorted(own, key=lambda each: (each.freethreading, each)):
            tried = {**kept, python: own[python]}
            cell = replace(_cell(prospect, torch, tried), bundled=bundled)
            if (error := self._refusal(prospect.project, cell, metadata)) is None:
                kept = tried
            else:
                found.append(finding_of(error, python))
        return tuple(found)

    def _facts(
        self, offers: Mapping[PythonBuild, Offer]
    ) -> dict[PythonBuild, tuple[Offer, WheelFacts]]:
        return {
            python: (offer, self.reader.wheel(offer))
            for python, offer in offers.items()
            if offer.sha256 is not None
        }

    @staticmethod
    def _rows(
        prospect: Prospect,
        wheels: Mapping[PythonBuild, tuple[Offer, WheelFacts]],
        metadata: dict[str, Metadata],
    ) -> dict[PythonBuild, Wheel]:
        metadata |= {facts.metadata.sha256: facts.metadata.metadata for _, facts in wheels.values()}
        return {
            python: wheel_row(offer, facts, prospect.train)
            for python, (offer, facts) in wheels.items()
        }

    def _refusal(
        self, project: str, cell: Cell, metadata: Mapping[str, Metadata]
    ) -> ArmtorchError | None:
        lock = Lock(cells=(cell,), metadata=dict(metadata))
        try:
            found = variants(self.feedstock, lock)
            own = tuple(each for each in found if projects().get(each.package) == project)
            for inputs in recipes(self.feedstock, lock, own):
                recipe_files(inputs)
        except AGAINST as error:
            return error
        return None


def _cell(
    prospect: Prospect, torch: Mapping[PythonBuild, Wheel], own: Mapping[PythonBuild, Wheel]
) -> Cell:
    """Put a cell together that has nothing but the release and its torch."""
    alone = prospect.project == "torch"
    wheels = own if alone else {**torch}
    rows = dict.fromkeys((*wheels.values(), *(() if alone else own.values())))
    version = prospect.release.version.public
    versions = {w.project: w.version.partition("+")[0] for w in wheels.values()}
    fill = {} if prospect.project in get_args(ProjectName) else {prospect.project: version}
    reference = min(wheels, key=lambda each: (each.freethreading, each))
    return Cell(
        line="-",
        train=prospect.train,
        subdir=prospect.subdir.name,
        accelerator=prospect.accelerator,
        trio={**versions, **({} if fill else {prospect.project: version})},  # type: ignore[dict-item]
        fill=fill,
        wheels=tuple(rows),
        sharing=Sharing(reference=str(reference), members=0, bytes=0, digest="", per_python=()),
    )


def proven(feedstock: Feedstock, lock: Lock, old: Lock, *, today: str) -> Lock:
    """Return the lock without what gives no recipes: render never fails on what is locked.

    Cells of one line share their recipes, so what each of them gives alone is not enough. A cell
    is added to those that the old lock has as they are; of what spoils the recipes a companion is
    left out, and a torch gives way to the cell as the old lock had it.
    """
    kept: list[Cell] = []
    held: list[HeldCell] = [*lock.held]
    known = old.by_name
    metadata = {**old.metadata, **lock.metadata}
    for line in sorted({cell.line for cell in lock.cells}):
        cells = [cell for cell in lock.cells if cell.line == line]
        new = any(known.get(cell.name) != cell for cell in cells)
        if _refusal(feedstock, cells, metadata, checked=new) is None:
            kept += cells
            continue
        together: list[Cell] = []
        for cell in sorted(cells, key=lambda each: known.get(each.name) != each):
            found, rows = _fitted(feedstock, together, cell, metadata, today=today)
            before = known.get(cell.name)
            if found is None and before is not None and before != cell:
                found, _ = _fitted(feedstock, together, before, metadata, today=today)
            together += [] if found is None else [found]
            instead = found.torch if found is not None else ""
            held += [
                HeldCell.of(row, cell, instead=instead, line=cell.line)
                for row in rows
                if row.project == "torch"
            ]
        kept += together
    used = {wheel.metadata for cell in kept for wheel in cell.wheels}
    return replace(
        lock,
        cells=tuple(kept),
        metadata={digest: said for digest, said in metadata.items() if digest in used},
        held=tuple(held),
    ).in_order()


def _fitted(
    feedstock: Feedstock,
    beside: list[Cell],
    cell: Cell,
    metadata: Mapping[str, Metadata],
    *,
    today: str,
) -> tuple[Cell | None, list[Held]]:
    """Return what of a cell gives recipes beside others of its line, and what is held of it."""
    rows: list[Held] = []
    while (error := _refusal(feedstock, [*beside, cell], metadata)) is not None:
        project = _culprit(feedstock, beside, cell, metadata)
        rows.append(finding_of(error).held(project, cell.versions[project], since=today))
        if project == "torch":
            return None, rows
        cell = _without(replace(cell, held=(*cell.held, rows[-1])), project)
    return cell, rows


def _culprit(
    feedstock: Feedstock, beside: list[Cell], cell: Cell, metadata: Mapping[str, Metadata]
) -> str:
    """Name the project without which the recipes can be written; torch where it is no other."""
    others = [project for project in cell.versions if project != "torch"]
    for project in others:
        if _refusal(feedstock, [*beside, _without(cell, project)], metadata) is None:
            return project
    bare = cell
    for project in others:
        bare = _without(bare, project)
    return (
        others[0] if others and _refusal(feedstock, [*beside, bare], metadata) is None else "torch"
    )


def _without(cell: Cell, project: str) -> Cell:
    return replace(
        cell,
        trio={name: version for name, version in cell.trio.items() if name != project},
        fill={name: version for name, version in cell.fill.items() if name != project},
        wheels=tuple(wheel for wheel in cell.wheels if wheel.project != project),
        bundled={name: members for name, members in cell.bundled.items() if name != project},
    )


def _refusal(
    feedstock: Feedstock,
    cells: list[Cell],
    metadata: Mapping[str, Metadata],
    *,
    checked: bool = True,
) -> ArmtorchError | None:
    """Return why the recipes of some cells cannot be written, or, if ``checked``, are refused."""
    try:
        tree = recipe_tree(feedstock, Lock(cells=tuple(cells), metadata=dict(metadata)))
        if checked:
            check_tree(tree)
    except AGAINST as error:
        return error
    return None

"""What changed between two locks, as rows for a person, a commit message or a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Literal, TypeVar

from generator.model.cell import Absence, Cell, CellAbsence, Lock
from generator.model.held import Held
from generator.model.pin import Pin
from generator.model.wheel import Metadata

_Reason = TypeVar("_Reason", Absence, CellAbsence, Held)
DiffKind = Literal[
    "cell added",
    "cell removed",
    "version changed",
    "candidate changed",
    "wheel added",
    "wheel removed",
    "wheel changed",
    "absence added",
    "absence removed",
    "held back",
    "held no more",
    "dependency added",
    "dependency removed",
    "licence changed",
    "requires-python changed",
    "sharing changed",
    "base changed",
]


@dataclass(frozen=True, kw_only=True)
class DiffRow:
    """One change."""

    kind: DiffKind
    #: ``2.10/linux-aarch64/cpu``
    cell: str
    #: what changed: a wheel's file name, a project, a requirement
    subject: str
    before: str = ""
    after: str = ""
    #: the torch that is new here, "" where none is
    torch: str = ""
    #: a released file that changed its bytes: never right on stable
    tampering: bool = False

    def __str__(self) -> str:
        change = " -> ".join(part for part in (self.before, self.after) if part)
        mark = "  TAMPERING?" if self.tampering else ""
        return f"{self.kind}: {self.subject}" + (f": {change}" if change else "") + mark


@dataclass(frozen=True)
class LockDiff:
    """All changes, cells in order."""

    rows: tuple[DiffRow, ...]

    @property
    def empty(self) -> bool:
        """Whether nothing changed."""
        return not self.rows

    def text(self) -> str:
        """Return the rows under the cells they are about; nothing when nothing changed."""
        lines: list[str] = []
        for number, row in enumerate(self.rows):
            if number == 0 or row.cell != self.rows[number - 1].cell:
                lines.append(row.cell)
            lines.append(f"  {row}")
        return "\n".join(lines)

    def to_json(self) -> list[dict[str, str | bool]]:
        """Return the rows as plain data for ``--json``."""
        return [asdict(row) for row in self.rows]


def diff_locks(old: Lock, new: Lock) -> LockDiff:
    """Return what ``new`` has that ``old`` does not, and the other way round."""
    before, after = old.by_name, new.by_name
    rows: list[DiffRow] = []
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name), after.get(name)
        if was is None and now is not None:
            rows.append(
                DiffRow(
                    kind="cell added",
                    cell=name,
                    subject=_trio(now),
                    after=_size(now),
                    torch=now.torch,
                )
            )
            rows += _absences(name, (), now.absent)
            rows += _held(name, (), now.held)
        elif now is None and was is not None:
            row = DiffRow(kind="cell removed", cell=name, subject=_trio(was), before=_size(was))
            rows.append(row)
        elif was is not None and now is not None:
            rows += _cells(was, now, old.metadata, new.metadata)
    for place in sorted({_cell(row) for row in (*old.absent, *new.absent)}):
        gone, come = (tuple(r for r in each.absent if _cell(r) == place) for each in (old, new))
        kinds: tuple[DiffKind, DiffKind] = ("absence removed", "absence added")
        rows += _in_and_out(*kinds, place, gone, come, lambda _: "the cell")
    for place in sorted({row.place for row in (*old.held, *new.held)}):
        was_held = tuple(row for row in old.held if row.place == place)
        rows += _held(place, was_held, tuple(row for row in new.held if row.place == place))
    for subdir in sorted(old.base.keys() | new.base.keys()):
        rows += _base(subdir, old.base.get(subdir, ()), new.base.get(subdir, ()))
    return LockDiff(tuple(rows))


def _base(subdir: str, old: Iterable[Pin], new: Iterable[Pin]) -> Iterator[DiffRow]:
    """Give the packages of a base whose version or bytes are others."""
    was, now = ({pin.purl.partition("@")[0]: pin for pin in pins} for pins in (old, new))
    for name in sorted(was.keys() | now.keys()):
        if was.get(name) != now.get(name):
            before, after = (
                pins[name].purl.partition("@")[2].partition("?")[0] if name in pins else "none"
                for pins in (was, now)
            )
            yield DiffRow(
                kind="base changed",
                cell=f"base/{subdir}",
                subject=name.rpartition("/")[2],
                before=before,
                after=after,
                tampering=before == after,
            )


def _cells(
    was: Cell, now: Cell, old: Mapping[str, Metadata], new: Mapping[str, Metadata]
) -> Iterator[DiffRow]:
    name = now.name
    for project in sorted(was.versions.keys() | now.versions.keys()):
        versions = was.versions.get(project, ""), now.versions.get(project, "")
        if versions[0] != versions[1]:
            yield DiffRow(
                kind="version changed",
                cell=name,
                subject=project,
                before=versions[0] or "none",
                after=versions[1] or "none",
                torch=versions[1] if project == "torch" else "",
            )
    if was.torch == now.torch and was.candidate != now.candidate:
        yield DiffRow(
            kind="candidate changed",
            cell=name,
            subject=f"torch {now.torch}",
            before=str(was.candidate or "none"),
            after=str(now.candidate or "none"),
            torch=now.torch,
        )
    yield from _wheels(was, now)
    for project in now.versions:
        yield from _metadata(name, project, _said(was, project, old), _said(now, project, new))
    if was.groups != now.groups:
        yield DiffRow(
            kind="sharing changed",
            cell=name,
            subject="libtorch",
            before=_shared(was),
            after=_shared(now),
        )
    yield from _absences(name, was.absent, now.absent)
    yield from _held(name, was.held, now.held)


def _wheels(was: Cell, now: Cell) -> Iterator[DiffRow]:
    before = {wheel.filename: wheel for wheel in was.wheels}
    after = {wheel.filename: wheel for wheel in now.wheels}
    for filename in sorted(before.keys() | after.keys()):
        one, two = before.get(filename), after.get(filename)
        if one is None and two is not None:
            yield DiffRow(kind="wheel added", cell=now.name, subject=filename, after=two.sha256)
        elif two is None and one is not None:
            yield DiffRow(kind="wheel removed", cell=now.name, subject=filename, before=one.sha256)
        elif one is not None and two is not None and one.sha256 != two.sha256:
            yield DiffRow(
                kind="wheel changed",
                cell=now.name,
                subject=filename,
                before=one.sha256,
                after=two.sha256,
                tampering=now.train == "stable",
            )


def _metadata(
    cell: str, project: str, was: tuple[Metadata, ...], now: tuple[Metadata, ...]
) -> Iterator[DiffRow]:
    if not was or not now:
        return
    before = {r for metadata in was for r in metadata.requires_dist}
    after = {r for metadata in now for r in metadata.requires_dist}
    for requirement in sorted(before - after):
        yield DiffRow(kind="dependency removed", cell=cell, subject=project, before=requirement)
    for requirement in sorted(after - before):
        yield DiffRow(kind="dependency added", cell=cell, subject=project, after=requirement)
    said: tuple[tuple[DiffKind, Literal["license", "requires_python"]], ...] = (
        ("licence changed", "license"),
        ("requires-python changed", "requires_python"),
    )
    for kind, name in said:
        if (earlier := _set(was, name)) != (later := _set(now, name)):
            yield DiffRow(kind=kind, cell=cell, subject=project, before=earlier, after=later)


def _absences(cell: str, was: tuple[Absence, ...], now: tuple[Absence, ...]) -> Iterator[DiffRow]:
    return _in_and_out("absence removed", "absence added", cell, was, now, _what)


def _held(cell: str, was: tuple[Held, ...], now: tuple[Held, ...]) -> Iterator[DiffRow]:
    return _in_and_out("held no more", "held back", cell, was, now, lambda row: row.subject)


def _in_and_out(
    gone: DiffKind,
    come: DiffKind,
    cell: str,
    was: tuple[_Reason, ...],
    now: tuple[_Reason, ...],
    subject: Callable[[_Reason], str],
) -> Iterator[DiffRow]:
    for row in was:
        if row not in now:
            yield DiffRow(kind=gone, cell=cell, subject=subject(row), before=_why(row))
    for row in now:
        if row not in was:
            yield DiffRow(kind=come, cell=cell, subject=subject(row), after=_why(row))


def _why(row: Absence | CellAbsence | Held) -> str:
    return row.reason if isinstance(row, Held) else f"{row.reason}: {row.detail}"


def _said(cell: Cell, project: str, metadata: Mapping[str, Metadata]) -> tuple[Metadata, ...]:
    keys = dict.fromkeys(wheel.metadata for wheel in cell.wheels_of(project))
    return tuple(metadata[key] for key in keys)


def _set(said: tuple[Metadata, ...], name: Literal["license", "requires_python"]) -> str:
    return ", ".join(sorted({str(getattr(metadata, name)) for metadata in said}))


def _shared(cell: Cell) -> str:
    found = [f"{each.members} members of Python {each.reference}'s wheel" for each in cell.groups]
    return ", ".join(found) or "nothing"


def _size(cell: Cell) -> str:
    candidate = f", {cell.candidate}" if cell.candidate is not None else ""
    groups = f", {len(cell.groups)} builds of libtorch" if cell.apart else ""
    return f"{len(cell.wheels)} wheels{groups}{candidate}"


def _trio(cell: Cell) -> str:
    return ", ".join(f"{project} {version}" for project, version in cell.versions.items())


def _what(absence: Absence) -> str:
    python = f"Python {absence.python}" if absence.python else ""
    return " for ".join(part for part in (absence.package, python) if part) or "the cell"


def _cell(absence: CellAbsence) -> str:
    return f"{absence.train}/{absence.subdir}/{absence.accelerator}"

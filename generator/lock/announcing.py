"""The difference of two locks as the text of a pull request, in GitHub's Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from packaging.version import Version

from generator.errors import ArmtorchError
from generator.lock.diff import DiffKind, DiffRow, LockDiff
from generator.model import Cell, Held, Lock

_SECTIONS: Final[dict[str, tuple[DiffKind, ...]]] = {
    "New": ("cell added", "version changed", "absence removed"),
    "New candidates: other bytes under the same names": ("candidate changed",),
    "Vanished": ("cell removed", "wheel removed", "absence added"),
    "Held no more": ("held no more",),
    "Licences and dependencies": (
        "licence changed",
        "dependency added",
        "dependency removed",
        "requires-python changed",
    ),
    "Packages of Debian's and wheels of a base": ("base changed",),
    "Changed bytes": ("wheel changed", "sharing changed"),
}
#: a person decides on these: a vanished cell, another licence, bytes that changed on stable
_ATTENTION: Final[frozenset[DiffKind]] = frozenset({"cell removed", "licence changed"})
#: the text of a pull request may have 65536 characters
_LONGEST: Final = 60_000


@dataclass(frozen=True, kw_only=True)
class Announcement:
    """What is said of the way from one lock to the next."""

    diff: LockDiff
    #: ``<line>/<package>`` -> number before ("new" where there was none) and now
    numbers: dict[str, tuple[str, int]]
    #: survived: indexes that did not answer, files that are not there
    findings: tuple[ArmtorchError, ...]
    #: the same of indexes that did not answer while others did: no failure of the run
    silent: tuple[ArmtorchError, ...] = ()
    #: cells that went because the same subdir and accelerator has a newer torch
    superseded: frozenset[str] = frozenset()
    #: cell of the train rc -> which candidate of its version it has
    candidates: Mapping[str, str] = field(default_factory=dict)
    #: all that is held back now: the cell or place, and the row
    held: tuple[tuple[str, Held], ...] = ()

    @property
    def changed(self) -> bool:
        """Whether there is anything to release."""
        return bool(self.diff.rows or self.numbers)

    @property
    def attention(self) -> tuple[str, ...]:
        """Why a person should look before it is merged; empty where none needs to."""
        rows = [
            f"{row.cell}: {row}"
            for row in self.diff.rows
            if (row.kind in _ATTENTION and row.cell not in self.superseded) or row.tampering
        ]
        return tuple(dict.fromkeys(rows))

    @property
    def title(self) -> str:
        """One line: the new torch versions and where they are, or how much changed."""
        title = self._news()
        held = {row.subject for row in self.diff.rows if row.kind == "held back"}
        return (f"{title}; hold {_few(held)}" if held else title)[:200]

    def _news(self) -> str:
        new: dict[str, list[str]] = {}
        for row in self.diff.rows:
            if version := row.torch:
                # whl/test has the final version in the names of all candidates of it
                version = f"{version} {self.candidates.get(row.cell, '')}".rstrip()
                new.setdefault(version, []).append(row.cell.partition("/")[2])
        if new:
            found = (f"torch {version} for {_few(places)}" for version, places in new.items())
            return f"Release {'; '.join(found)}"[:150]
        if self.diff.rows:
            return f"Follow upstream in {_few({row.cell for row in self.diff.rows})}"[:150]
        return f"Rebuild {_few(self.numbers)}"[:150]

    def markdown(self) -> str:
        """Return the text: what is new, vanished, unreachable, and changed, as tables."""
        parts = [self.title + "."]
        if self.attention:
            parts.append("**A person should look at this first:**\n" + _list(self.attention))
        if self.held:
            parts.append(f"### Held back\n{_held_table(self.held)}")
        for title, kinds in _SECTIONS.items():
            rows = [row for row in self.diff.rows if row.kind in kinds]
            if rows := [row for row in rows if row.cell not in self.superseded]:
                parts.append(f"### {title}\n{_table(rows)}")
        if rows := [row for row in self.diff.rows if row.cell in self.superseded]:
            parts.append(f"### Superseded by a newer torch\n{_table(rows)}")
        if wheels := [row for row in self.diff.rows if row.kind == "wheel added"]:
            count = Counter((row.cell, row.subject.partition("-")[0]) for row in wheels)
            lines = [f"{cell}: {number} of {name}" for (cell, name), number in count.items()]
            parts.append("### Wheels added\n" + _list(lines))
        if unreachable := [f"{f.where}: {f.what}" for f in (*self.findings, *self.silent)]:
            parts.append(
                "### Did not answer, or not usefully; the lock keeps what it knew\n"
                + _list(unreachable)
            )
        if self.numbers:
            lines = [f"| {_code(n)} | {was} | {now} |" for n, (was, now) in self.numbers.items()]
            head = "### Build numbers\n| recipe | before | after |\n|---|---|---|\n"
            parts.append(head + "\n".join(lines))
        text = "\n\n".join(parts)
        if len(text) > _LONGEST:
            text = text[:_LONGEST].rpartition("\n")[0] + "\n\nand more: see the lock's difference."
        return text + "\n"


def announce(
    old: Lock,
    new: Lock,
    diff: LockDiff,
    findings: Sequence[ArmtorchError],
    silent: Sequence[ArmtorchError] = (),
) -> Announcement:
    """Put together what changed between two locks."""
    numbers = {
        name: (str(old.builds[name].number) if name in old.builds else "new", build.number)
        for name, build in new.builds.items()
        if old.builds.get(name) != build
    }
    superseded = frozenset(
        name
        for name, was in old.by_name.items()
        if name not in new.by_name and any(_supersedes(cell, was) for cell in new.cells)
    )
    candidates = {
        cell.name: str(cell.candidate)
        for cell in new.cells
        if cell.train == "rc" and cell.candidate is not None
    }
    return Announcement(
        diff=diff,
        numbers=numbers,
        findings=tuple(findings),
        silent=tuple(silent),
        superseded=superseded,
        candidates=candidates,
        held=new.all_held(),
    )


def _supersedes(now: Cell, was: Cell) -> bool:
    same = (now.train, now.subdir, now.accelerator) == (was.train, was.subdir, was.accelerator)
    return same and Version(now.torch) > Version(was.torch)


def _table(rows: Iterable[DiffRow]) -> str:
    lines = ["| cell | what | | before | after |", "|---|---|---|---|---|"]
    lines += [
        f"| {_code(row.cell)} | {row.kind} | {_code(row.subject)} | {_code(row.before)} "
        f"| {_code(row.after)} |"
        for row in rows
    ]
    return "\n".join(lines)


def _held_table(held: Iterable[tuple[str, Held]]) -> str:
    lines = ["| cell | held back | since | why | served | next |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {_code(cell)} | {_code(row.subject)} | {row.since} "
        f"| {_code(f'{row.kind}: {row.detail}')} | {_code(row.instead) or 'nothing'} "
        f"| {_code(row.next_step)} |"
        for cell, row in held
    ]
    return "\n".join(lines)


def _code(text: str) -> str:
    """Quote what upstream wrote: no cell ends in it, nobody is called, nothing is a link."""
    plain = " ".join(text.split()).replace("`", "'").replace("|", "\\|")
    return f"`{plain}`" if plain else ""


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {_code(line)}" for line in lines)


def _few(names: Iterable[str]) -> str:
    found = sorted(set(names))
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return ", ".join(found[:3]) + more

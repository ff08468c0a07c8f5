"""What speaks against packages of a tried release: said by its jobs, read by ``ci hold``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, TypeAdapter, ValidationError

from generator.building import BuildReport
from generator.console import Narrator
from generator.documents import limits, read_bytes
from generator.model import FindingKind
from generator.model.closed import Closed
from generator.testing import PackageReport

#: what is said by the package, and not by a machine, a network or a base channel
_KINDS: Final[dict[str, FindingKind]] = {"build": "build", "linkage": "audit", "render": "render"}
_LONGEST: Final = 300


@dataclass(frozen=True, kw_only=True)
class Verdict(Closed):
    """Why one package of a tried release cannot be served."""

    #: conda name
    package: str
    #: ``<line>/<subdir>/<accelerator>``
    cell: str
    kind: Literal["build", "audit", "test", "render"]
    detail: Annotated[str, Field(max_length=_LONGEST)]


_VERDICTS: Final = TypeAdapter(tuple[Verdict, ...])


def build_verdicts(report: BuildReport, cells: Mapping[str, str]) -> tuple[Verdict, ...]:
    """Return what a build says against packages; ``cells`` has the cell of each variant."""
    return tuple(
        Verdict(
            package=row.id.split("/")[1],
            cell=cells[row.id],
            kind=_KINDS[row.error.kind],  # type: ignore[arg-type]
            detail=_short(row.error.what),
        )
        for row in report.failed
        if row.error is not None and row.error.kind in _KINDS and row.id in cells
    )


def test_verdicts(
    reports: Sequence[PackageReport], cells: Mapping[str, tuple[str, str]]
) -> tuple[Verdict, ...]:
    """Return what tests say against packages; ``cells`` has package and cell by file name."""
    return tuple(
        Verdict(
            package=cells[report.package][0],
            cell=cells[report.package][1],
            kind="test",
            detail=_short(f"{step.name}: {step.output}"),
        )
        for report in reports
        for step in report.steps
        # what cannot be installed lacks something of the base channel, which comes by itself
        if step.outcome == "failed" and step.name != "install" and report.package in cells
    )


def verdicts_text(found: Sequence[Verdict]) -> str:
    """Return verdicts as the JSON that a job leaves behind."""
    return _VERDICTS.dump_json(tuple(found), indent=2).decode() + "\n"


def read_verdicts(folder: Path, narrator: Narrator) -> tuple[Verdict, ...]:
    """Read what jobs left behind; what is no verdict speaks against nothing, and stops no others.

    A job that upstream's code ran in may leave anything.
    """
    found: list[Verdict] = []
    for path in sorted(folder.rglob("*.json")):
        try:
            found += _VERDICTS.validate_json(read_bytes(path, limits().yaml.bytes))
        except (OSError, ValidationError):
            narrator.warn(f"{path.name}: not a verdict of armtorch build or test")
    return tuple(found)


def _short(text: str) -> str:
    """Keep the first of a message: one line, and nothing of the machine's folders."""
    words = (word for word in text.split() if not word.startswith(("/", "\"'/", "C:\\")))
    return " ".join(words)[:_LONGEST]

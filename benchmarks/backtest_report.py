"""docs/backtest.md, written from backtest.json: nobody copies a figure by hand."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click
from packaging.version import Version

HERE: Final = Path(__file__).parent
RESULTS: Final = HERE / "backtest.json"
PAGE: Final = HERE.parent / "docs" / "backtest.md"
#: ends of what a cell came to, as the table has them
_MARKS: Final = {"complete": "complete", "held": "held", "unserved": "-"}
_CELLS: Final = ("linux-aarch64/cpu", "linux-aarch64/cuda", "osx-arm64/cpu")
_SINCE: Final = Version("2.5")
_HEAD: Final = """\
# The backtest
Written by `python -m benchmarks backtest-table` from benchmarks/backtest.json; not to be edited.

What would have come of every release since torch 2.0, had armtorch been there: a local index
serves the real pages as they stood after each event (PEP 700's upload times), and `armtorch
release` runs with the lock of the event before. An event is a new release of torch, torchvision,
torchaudio or triton with wheels for linux-aarch64 or osx-arm64, or wheels that were added to one
more than an hour later. Files are read as `update` reads them, by range; whether the recipes
could split the wheels is carried out on their RECORDs. `python -m benchmarks backtest` makes all
of it anew; benchmarks/pairs.yaml says, apart from armtorch, which companions upstream made for
which torch.

- **complete**: the newest torch that upstream had then, with the companions upstream had for it.
  Where it had none yet (torch is uploaded minutes before torchvision) there is none to miss:
  `complete*`.
- **held**: less than that, and the lock says what is held back and why.
- Anything else is a fault of armtorch: **wrong** (a companion made for another torch), **unsaid**
  (less, and nothing says so), **refused** (locked, and the build would refuse a wheel),
  **stopped** (an error ended the command, and nothing was written), **crashed**.

*without rows* is the same without the rows of data files that name the event's release or a later
one: what upstream's next release will meet. A yanked file counts as yanked from the beginning,
since no index says when that was. Pythons: how many of those that upstream served torch for are
in the cell; those that could not share libtorch's bytes were left out when this was measured.
"""


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Count what the targets are about."""
    recent = [row for row in rows if Version(row["torch"]) >= _SINCE]
    return {
        "cells": len(rows),
        "outcomes": dict(sorted(Counter(row["outcome"] for row in rows).items())),
        "cells_since_2.5": len(recent),
        "complete_since_2.5": _share(row["outcome"] == "complete" for row in recent),
        "with_libtorch": _share(row["libtorch"] for row in rows),
        "pythons": _pythons(rows),
    }


def _share(found: Iterable[bool]) -> float:
    values = list(found)
    return round(sum(values) / len(values), 4) if values else 0.0


def _pythons(rows: Sequence[Mapping[str, Any]]) -> float:
    wanted = sum(row["pythons"][1] for row in rows)
    return round(sum(row["pythons"][0] for row in rows) / wanted, 4) if wanted else 0.0


def page(content: Mapping[str, Any]) -> str:
    """Return docs/backtest.md."""
    known, without = content["with_rows"], content["without_rows"]
    parts = [_HEAD, _figures(content, summary(known), summary(without)), _causes(known, without)]
    if built := content.get("built"):
        parts.append(_built(built))
    parts.append(_table(content["events"], known, without))
    return "\n".join(parts)


def _figures(content: Mapping[str, Any], known: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    rows = [
        (
            "complete, torch 2.5 and later",
            *(_percent(each["complete_since_2.5"]) for each in (known, new)),
            "98 %, 85 % without rows",
        ),
        (
            "served with a libtorch that the recipes can split by RECORD, torch 2.0 and later",
            *(_percent(each["with_libtorch"]) for each in (known, new)),
            "90 %",
        ),
        ("stopped or crashed", _ended(known), _ended(new), 0),
        ("Pythons of torch that are served", *(_percent(e["pythons"]) for e in (known, new)), ""),
        *(
            (name, *(each["outcomes"].get(name, 0) for each in (known, new)), "")
            for name in sorted({*known["outcomes"], *new["outcomes"]})
        ),
    ]
    lines = [
        f"## What came of it ({content['day']})",
        f"{len(content['events'])} events, {known['cells']} times a cell. {content['code']}",
        "",
        "| | today's rows | without rows | target |",
        "|---|---|---|---|",
        *(f"| {' | '.join(map(str, row))} |" for row in rows),
    ]
    return "\n".join(lines) + "\n"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _ended(figures: Mapping[str, Any]) -> int:
    return sum(figures["outcomes"].get(name, 0) for name in ("stopped", "crashed"))


def _causes(known: Sequence[Mapping[str, Any]], without: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        "## Why a cell was not complete",
        "| | rows | event | cell | why |",
        "|---|---|---|---|---|",
    ]
    seen: dict[tuple[str, str, str, str], list[str]] = {}
    for rows, name in ((known, "all"), (without, "without")):
        for row in rows:
            if row["outcome"] != "complete":
                why = _short("; ".join(row["causes"]) + _by_hand(row))
                seen.setdefault((row["event"], row["cell"], row["outcome"], why), []).append(name)
    for (event, cell, outcome, why), names in seen.items():
        lines.append(f"| {outcome} | {', '.join(names)} | {event} | {cell} | {why} |")
    return "\n".join(lines) + "\n" if seen else ""


def _by_hand(row: Mapping[str, Any]) -> str:
    return f" - by hand: {'; '.join(row['by_hand'])}" if row["by_hand"] else ""


def _short(text: str) -> str:
    plain = " ".join(text.split()).replace("|", "\\|")
    return plain if len(plain) <= 300 else plain[:297] + "..."


def _built(built: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        "## Built and audited",
        "The newest patch of each minor, one Python: every package of the cell built from the real",
        "wheels and held to the linkage audit.",
        "",
        "| torch | cell | Python | packages | audit |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['torch']} | {row['cell']} | {row['python']} | {', '.join(row['built'])} "
        f"| {_short('; '.join(row['failed'])) or 'passes'} |"
        for row in built
    ]
    return "\n".join(lines) + "\n"


def _table(
    events: Sequence[Mapping[str, Any]],
    known: Sequence[Mapping[str, Any]],
    without: Sequence[Mapping[str, Any]],
) -> str:
    heads = ["day", "event", *_CELLS, *(f"{cell}, without rows" for cell in _CELLS)]
    lines = [
        "## Every event",
        f"| {' | '.join(heads)} |",
        f"|{'---|' * len(heads)}",
    ]
    for event in events:
        cells = [_mark(event["name"], cell, rows) for rows in (known, without) for cell in _CELLS]
        lines.append(f"| {event['when'][:10]} | {event['name']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _mark(event: str, cell: str, rows: Sequence[Mapping[str, Any]]) -> str:
    for row in rows:
        if (row["event"], row["cell"]) == (event, cell):
            star = "*" if row["outcome"] == "complete" and row["absent_upstream"] else ""
            return f"{_MARKS.get(row['outcome'], row['outcome'])}{star}"
    return ""


@click.command("backtest-table")
@click.option("--check", is_flag=True, help="Only compare; exit code 1 when it is another.")
def backtest_table(*, check: bool) -> None:
    """Write docs/backtest.md from benchmarks/backtest.json."""
    text = page(json.loads(RESULTS.read_text(encoding="utf-8")))
    if not check:
        PAGE.write_text(text, encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != text:
        raise SystemExit(1)

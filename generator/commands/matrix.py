"""``armtorch matrix``."""

from __future__ import annotations

import sys

import click

from generator.ci.against_base import against_base
from generator.commands.options import json_option, many_option, refuse_no_channel, virtual_option
from generator.errors import SelectionError, SolveError
from generator.matrix import CellView, MatrixView, matrix_json, matrix_view
from generator.model.python_build import not_on_base
from generator.printing import Screen, write, write_json_text
from generator.project import Project


@click.command("matrix")
@click.option("--ids", is_flag=True, help="Print only the ids of the variants, one a line.")
@click.option(
    "--against-base",
    "solved",
    is_flag=True,
    help="Solve every variant on the base channels, and name what blocks one.",
)
@many_option(
    "--base",
    help="Base channels instead of the feedstock's: names, URLs or folders of recorded repodata.",
)
@virtual_option(
    help="A virtual package of the machine that is solved for, for example __glibc=2.28."
)
@json_option
@click.pass_obj
def command(
    project: Project,
    *,
    ids: bool,
    solved: bool,
    base: tuple[str, ...],
    virtual_packages: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show every cell and variant, the reason for each absent one, and what is held back.

    With --against-base nothing is built: the packages are solved as they would be, each on the
    repodata of its cell's base channels, for a common machine of its kind. What has no solution is
    named with the requirement that has none, and the exit code is 24.

    \b
    Examples:
      armtorch matrix
      armtorch matrix --ids | grep 3.12
      armtorch matrix --against-base
      armtorch matrix --against-base --base /srv/recorded --virtual __glibc=2.28
      armtorch matrix --json | jq '.absent, .cells[].held'
    """
    if (base or virtual_packages) and not solved:
        raise SelectionError(
            "there is nothing to solve",
            where="--base, --virtual",
            next_step="add --against-base",
        )
    refuse_no_channel(base)
    view = matrix_view(project.declared(), project.known())
    if solved:
        view = against_base(project, view, base=base, virtual_packages=virtual_packages)
    if as_json:
        write_json_text(matrix_json(view))
    elif ids:
        for each in (*view.metapackages, *(v for cell in view.cells for v in cell.variants)):
            write(each)
    else:
        _show(view)
    if any(cell.base is not None and cell.base.blocked for cell in view.cells):
        sys.exit(SolveError.exit_code)


def _origin(cell: CellView) -> str:
    """Say which indexes the wheels are from, and what is special about them."""
    notes = [
        *([cell.candidate] if cell.candidate else []),
        *(["sha256 computed at first fetch"] if cell.computed_hashes else []),
        *([f"unreachable since {cell.unreachable_since}"] if cell.unreachable_since else []),
        *(
            [f"newer perhaps on {', '.join(cell.behind)}, silent since {min(cell.behind.values())}"]
            if cell.behind
            else []
        ),
    ]
    return ", ".join(cell.indexes) + (f" ({'; '.join(notes)})" if notes else "")


def _show(view: MatrixView) -> None:
    screen = Screen()
    solved = any(cell.base is not None for cell in view.cells)
    heads = ["cell", "trio", "Pythons", "variants", "wheels from"]
    heads += ["on the base"] if solved else []
    rows = []
    for cell in view.cells:
        versions = {**cell.trio, **cell.fill}
        trio = ", ".join(f"{name} {version}" for name, version in versions.items())
        row = [cell.name, trio, " ".join(cell.pythons), str(len(cell.variants)), _origin(cell)]
        rows.append([*row, *([_verdict(cell)] if solved else [])])
    screen.table(heads, rows)
    total = sum(len(cell.variants) for cell in view.cells) + len(view.metapackages)
    screen.print(
        f"\n{total} variants, {len(view.metapackages)} of them metapackages for every platform"
    )
    _show_subdirs(screen, view)
    _show_absent(screen, view)
    _show_held(screen, view)
    _show_blocked(screen, view)


def _show_subdirs(screen: Screen, view: MatrixView) -> None:
    screen.print()
    for subdir in view.subdirs:
        counts = f"cells: {subdir.cells}, variants: {subdir.variants}"
        why = f"; {subdir.note}" if subdir.note and not subdir.cells else ""
        screen.print(f"{subdir.name}: {counts}{why}")


def _show_absent(screen: Screen, view: MatrixView) -> None:
    missing = [(cell.name, row) for cell in view.cells for row in cell.missing]
    screen.print("\nnot there:")
    for name, row in missing:
        what = row.package or "everything"
        python = f" for Python {row.python}" if row.python else ""
        screen.print(f"  {name}: {what}{python}: {row.reason}: {row.detail}")
    for each in view.absent:
        screen.print(
            f"  {each.train}/{each.subdir}/{each.accelerator}: {each.reason}: {each.detail}",
        )
    screen.print(
        "  any other release: nobody asked for it; feedstock.yaml does, by keep: and minors: of a "
        "train, and by lines:"
    )


def _show_held(screen: Screen, view: MatrixView) -> None:
    rows = [(cell.name, row) for cell in view.cells for row in cell.held]
    rows += [(row.place, row) for row in view.held]
    if rows:
        screen.print("\nheld back:")
    for name, row in rows:
        screen.print(f"  {name}: {row} (since {row.since})")
        screen.print(f"    next: {row.next_step}")


def _show_blocked(screen: Screen, view: MatrixView) -> None:
    for cell in view.cells:
        if cell.base is None or not cell.base.blocked:
            continue
        screen.print(
            f"\n{cell.name}, on {', '.join(cell.base.channels)} with "
            f"{', '.join(cell.base.virtual_packages)}:",
        )
        _show_pythons(screen, cell)
        by_reason: dict[tuple[str, ...], list[str]] = {}
        for each in cell.base.blocked:
            by_reason.setdefault(each.by, []).append(each.id)
        for reason, ids in by_reason.items():
            screen.print(f"  blocked by base: {', '.join(reason)}")
            for name in ids:
                screen.print(f"    {name}")


def _show_pythons(screen: Screen, cell: CellView) -> None:
    """Say so where a base has none of the Pythons that wheels are for, or another one hides it."""
    if cell.base is None or not cell.base.pythons:
        return
    lacking, has = cell.base.no_python, set(cell.base.pythons.values()) - {""}
    key = f"subdirs.{cell.subdir}.base in feedstock.yaml"
    if len(lacking) == len(cell.base.pythons):
        screen.print(
            f"  {not_on_base(lacking, cell.subdir)}, and its wheels are for no other: "
            f"name a base that has it first under {key}"
        )
    elif hidden := has - set(cell.base.channels[:1]):
        screen.print(
            f"  Pythons of its wheels are on {', '.join(sorted(hidden))}, and "
            f"{cell.base.channels[0]} goes before it: name it first under {key}"
        )


def _verdict(cell: CellView) -> str:
    if cell.base is None:
        return ""
    if not cell.base.blocked:
        return "installable"
    return f"{len(cell.base.blocked)} of {len(cell.variants)} blocked"

"""``armtorch matrix``."""

from __future__ import annotations

import click
from rich.table import Table

from generator.commands.options import json_option
from generator.commands.tables import table_console
from generator.matrix import CellView, MatrixView, matrix_json, matrix_view
from generator.stages.project import Project


@click.command("matrix")
@click.option("--ids", is_flag=True, help="Print only the ids of the variants, one a line.")
@json_option
@click.pass_obj
def command(project: Project, *, ids: bool, as_json: bool) -> None:
    """Show every cell and variant, and the reason for each absent one.

    \b
    Examples:
      armtorch matrix
      armtorch matrix --ids | grep 3.12
      armtorch matrix --json | jq '.absent'
    """
    view = matrix_view(project.declared(), project.known())
    if as_json:
        click.echo(matrix_json(view), nl=False)
    elif ids:
        for each in (*view.metapackages, *(v for cell in view.cells for v in cell.variants)):
            click.echo(each)
    else:
        _show(view)


def _origin(cell: CellView) -> str:
    """Say which indexes the wheels are from, and what is special about them."""
    notes = [
        *([cell.candidate] if cell.candidate else []),
        *(["sha256 computed at first fetch"] if cell.computed_hashes else []),
        *([f"unreachable since {cell.unreachable_since}"] if cell.unreachable_since else []),
    ]
    return ", ".join(cell.indexes) + (f" ({'; '.join(notes)})" if notes else "")


def _show(view: MatrixView) -> None:
    console = table_console()
    table = Table("cell", "trio", "Pythons", "variants", "wheels from", box=None, pad_edge=False)
    for cell in view.cells:
        trio = ", ".join(f"{name} {version}" for name, version in cell.trio.items())
        table.add_row(
            cell.name, trio, " ".join(cell.pythons), str(len(cell.variants)), _origin(cell)
        )
    console.print(table)
    total = sum(len(cell.variants) for cell in view.cells) + len(view.metapackages)
    console.print(
        f"\n{total} variants, {len(view.metapackages)} of them metapackages for every platform"
    )
    missing = [(cell.name, row) for cell in view.cells for row in cell.missing]
    if missing or view.absent:
        console.print("\nnot there:")
    for name, row in missing:
        what = row.package or "everything"
        python = f" for Python {row.python}" if row.python else ""
        console.print(f"  {name}: {what}{python}: {row.reason}: {row.detail}", markup=False)
    for each in view.absent:
        console.print(
            f"  {each.train}/{each.subdir}/{each.accelerator}: {each.reason}: {each.detail}",
            markup=False,
        )

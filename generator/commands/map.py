"""``armtorch map``: the table of shared libraries, generator/data/sonames.yaml."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from generator.commands.options import NamedPath, json_option
from generator.errors import DataError
from generator.inspecting.exports import compare_exports
from generator.inspecting.imports import unsaid
from generator.inspecting.mapping import Lacking, MapCheck, check_map, locked_sources, named_source
from generator.printing import write, write_json
from generator.project import Project

_FILE = NamedPath(path_type=Path, dir_okay=False)


@click.group("map")
def command() -> None:
    """Keep the table of shared libraries (generator/data/sonames.yaml) up with upstream.

    \b
    Examples:
      armtorch map check
      armtorch map exports libopenblas.so.0 --needed-by torch-2.10.0-*.whl
    """


@command.command("check")
@click.option("--wheel", "wheels", multiple=True, type=_FILE, help="Look into this wheel only.")
@json_option
@click.pass_obj
def check(project: Project, wheels: tuple[Path, ...], as_json: bool) -> None:
    """Say what wheels need, bundle or import and no row speaks of, with rows to paste.

    Looks into one wheel of the wheelhouse per release of the lock; of a release that has none
    there, the lock's list of library names is checked. Exit code 5 when the table lacks something.
    docs/library-map.md tells how to fill a row.

    \b
    Examples:
      armtorch map check
      armtorch map check --wheel torch-2.16.0-cp312-cp312-manylinux_2_28_aarch64.whl
    """
    lock = project.locked()
    sources = tuple(named_source(path) for path in wheels)
    absent: tuple[Lacking, ...] = ()
    if not wheels:
        sources, absent = locked_sources(project.known(), project.wheelhouse)
    found = check_map(
        sources,
        lock=lock,
        not_looked_at=absent,
        whole=not wheels,
        narrator=project.narrator,
    )
    imports = [
        f"{module} ({source.release}, {members[0]})"
        for source in sources
        for module, members in unsaid(source).items()
    ]
    if as_json:
        write_json({**asdict(found), "imports": imports})
    else:
        _show(found)
        for text in imports:
            write(f"imported and not asked for: {text}")
    if imports:
        raise DataError(
            f"{len(imports)} modules are imported and nobody says they are needed",
            where="generator/data/pypi_names.yaml",
            next_step="add a row of `unstated`, or of `left_out` in generator/data/imports.yaml",
        )
    if found.unknown:
        raise DataError(
            f"{len(found.unknown)} libraries have no row; the first is {found.unknown[0].name}",
            where="generator/data/sonames.yaml",
            next_step="paste the rows and fill them: docs/library-map.md",
        )


def _show(found: MapCheck) -> None:
    for unknown in found.unknown:
        write(f"{unknown.kind}: {unknown.name} ({unknown.subdir}, {unknown.files[0]})")
        write(unknown.row)
    for kind, rows in (("matches nothing", found.unused), ("not checked", found.inferred)):
        for row in rows:
            write(f"{kind}: {row.name} ({row.subdir}){': ' if row.note else ''}{row.note}")
    for text in found.not_looked_at:
        write(f"no wheel here, only its names were checked: {text}")
    write(
        f"{len(found.looked_at)} wheels: {len(found.unknown)} libraries without a row, "
        f"{len(found.unused)} rows that match nothing, {len(found.inferred)} not checked"
    )


@command.command("exports")
@click.argument("provider", type=_FILE)
@click.option("--needed-by", type=_FILE, required=True, help="Wheel or .conda file with the copy.")
@click.option("--library", metavar="SONAME", help="The library, where PROVIDER has several.")
@json_option
def exports(provider: Path, needed_by: Path, library: str | None, as_json: bool) -> None:
    """Say whether a library has what our binaries take from their bundled copy of it.

    PROVIDER is a shared library or a .conda file that has one. Symbols are compared by name, and
    symbol versions where the binaries ask for them. Exit code 22 when something is missing.

    \b
    Examples:
      armtorch map exports libopenblas-0.3.30-openmp_h1.conda --library libopenblas.so.0 \\
          --needed-by torch-2.10.0-cp312-cp312-manylinux_2_28_aarch64.whl
      armtorch map exports lib/libopenblas.so.0 --needed-by libtorch-2.10.0-cpu_generic_h1_0.conda
    """
    found = compare_exports(provider, needed_by, library=library)
    if as_json:
        write_json(asdict(found))
    else:
        lacking = len(found.missing) + len(found.missing_versions)
        write(
            f"{found.library}: {len(found.needed)} symbols are taken from it, {lacking} of them "
            f"are missing in {provider.name}; users: {', '.join(found.users)}"
        )
        for name in (*found.missing_versions, *found.missing):
            write(f"  {name}")
    found.check()

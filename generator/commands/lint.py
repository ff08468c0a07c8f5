"""``armtorch lint``."""

from __future__ import annotations

from pathlib import Path

import click

from generator.channel import LocalChannel
from generator.channel.built import built_packages
from generator.commands.options import folder_option, json_option
from generator.inspecting.binaries import BinaryLint, lint_binaries
from generator.matrix import Selection, select, variants
from generator.printing import write, write_json
from generator.project import Project
from generator.rendering.recipe_lint import smithy_says
from generator.stages.render import check_rendered


@click.command("lint")
@click.argument("targets", nargs=-1, metavar="[GLOB | FILE.conda]...")
@click.option("--binaries", is_flag=True, help="Audit the binaries of built packages.")
@folder_option("--channel", default="channel", help="The channel folder that globs select from.")
@json_option
@click.pass_obj
def command(
    project: Project, targets: tuple[str, ...], *, binaries: bool, channel: Path, as_json: bool
) -> None:
    """Check recipes, or with --binaries what was built from them.

    Without --binaries everything rendered is checked against its schema and by rattler-build, and
    compared with the committed files; nothing is written. Where conda-smithy is installed beside
    armtorch, what it says of each recipe is shown, too.

    With it, every ELF, Mach-O and PE file of the packages is judged by the rules L-001 to L-023:
    machine, needed libraries, search paths, the system's floor, names, stacks. Packages of one
    pytorch are judged together, too. Findings that linkage_policy.yaml accepts are shown with date
    and reason; an open error gives exit code 22. A glob is over variant ids; without one the whole
    channel is audited.

    \b
    Examples:
      armtorch lint
      armtorch lint --binaries
      armtorch lint --binaries '2.10/*' --channel channel
      armtorch lint --binaries channel/linux-aarch64/torchvision-0.25.0-*.conda --json
    """
    if not binaries:
        if targets:
            raise click.UsageError("globs and files go with --binaries")
        _recipes(project, as_json=as_json)
        return
    found = lint_binaries(_paths(project, targets, channel), narrator=project.narrator)
    if as_json:
        write_json(lint_as_json(found))
    else:
        _show(found)
    found.check()


def _recipes(project: Project, *, as_json: bool) -> None:
    files, smithy = check_rendered(project), smithy_says(project)
    if as_json:
        write_json({"files": files, "smithy": smithy})
        return
    for path, said in (smithy or {}).items():
        write(f"conda-smithy, {path}:\n{said}")
    write(f"{files} files are what they should be")


def _paths(project: Project, targets: tuple[str, ...], channel: Path) -> tuple[Path, ...]:
    files = tuple(Path(target) for target in targets if target.endswith(".conda"))
    globs = tuple(target for target in targets if not target.endswith(".conda"))
    if files and not globs:
        return files
    place = LocalChannel(channel)
    if not globs:
        return built_packages(place)
    chosen = select(variants(project.declared(), project.known()), Selection(globs=globs))
    return (*files, *built_packages(place, project, chosen))


def lint_as_json(found: BinaryLint) -> dict[str, object]:
    """Return an audit for ``--json``."""
    return {
        "packages": [
            {
                "file": each.built.path.name,
                "subdir": each.built.subdir,
                "binaries": len(each.report.binaries),
                "findings": [finding.as_json() for finding in each.report.findings],
            }
            for each in found.packages
        ],
        "trios": [
            {
                "files": list(trio.files),
                "findings": [finding.as_json() for finding in trio.findings],
            }
            for trio in found.trios
        ],
        "skipped": list(found.skipped),
        "errors": len(found.errors),
    }


def _show(found: BinaryLint) -> None:
    for package in found.packages:
        report = package.report
        write(f"{package.built.path.name}: {len(report.binaries)} binaries")
        for finding in report.findings:
            write(f"  {finding}")
    for trio in found.trios:
        write(f"together: {', '.join(trio.files)}")
        for finding in trio.findings:
            write(f"  {finding}")
    accepted = sum(bool(finding.accepted) for _, finding in found.findings())
    write(
        f"{len(found.packages)} packages, {len(found.trios)} trios: {len(found.errors)} errors, "
        f"{accepted} accepted findings"
    )

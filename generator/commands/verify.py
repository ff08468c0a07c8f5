"""``armtorch verify``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from generator.channel.attested import (
    EMBEDDED,
    Attested,
    check_attestations,
    raise_for_attested,
)
from generator.channel.patching import is_patches
from generator.commands.options import NamedPath, folder_option, json_option, provenance_option
from generator.commands.tables import megabytes
from generator.inspecting import Proof
from generator.inspecting.proving import (
    VerifyOptions,
    find_packages,
    raise_for,
    set_aside,
    verify_packages,
)
from generator.printing import Screen, write, write_json
from generator.project import Project

#: flaws of one package that are printed; --json has all
_SHOWN = 10
_COLOURS = {"proven": "green", "attested": "green", "refuted": "red"}


def _hexadecimal(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    if value is not None and not re.fullmatch("[0-9a-fA-F]{64}", value):
        raise click.BadParameter("a sha256 has 64 hexadecimal digits")
    return value.lower() if value is not None else None


@click.command("verify")
@click.argument("packages", nargs=-1, metavar="[PACKAGE...]")
@click.option(
    "--wheel",
    "wheels",
    multiple=True,
    type=NamedPath(path_type=Path, exists=True, dir_okay=False),
    help="A wheel that a package was made from; repeat it for several.",
)
@click.option(
    "--record-sha256",
    callback=_hexadecimal,
    metavar="HEX",
    help="sha256 of the wheel's RECORD, instead of the lock's.",
)
@provenance_option("The repository that they were built to state (build --provenance).")
@folder_option(
    "--set-aside",
    "aside",
    metavar="FOLDER",
    help="Move what is not proven there, out of the one channel folder that is named.",
)
@folder_option(
    "--artifacts",
    help="With --set-aside: jobs' artifacts, a folder each, to be put into the channel before.",
)
@click.option(
    "--channel",
    metavar="URL",
    help="Verify the attestations of a channel's packages instead (CEP 50); or of a folder's.",
)
@click.option(
    "--identity",
    default="",
    metavar="GLOB",
    help="Who has to have signed them: https://github.com/me/repository/*. Anybody without it.",
)
@click.option(
    "--trusted-root",
    default="",
    metavar="FILE",
    help=f"Sigstore's keys, a trusted_root.json; or {EMBEDDED}, rattler's own copy. "
    "Without it Sigstore is asked.",
)
@json_option
@click.pass_obj
def command(
    project: Project,
    *,
    packages: tuple[str, ...],
    channel: str | None,
    identity: str,
    trusted_root: str,
    wheels: tuple[Path, ...],
    record_sha256: str | None,
    provenance: str,
    aside: Path | None,
    artifacts: Path | None,
    as_json: bool,
) -> None:
    """Prove that packages are what the lock beside feedstock.yaml renders, byte for byte.

    PACKAGE is a .conda file, a glob or a channel folder. All of a package follows from the lock,
    the recipes and upstream's RECORD, whose sha256 the lock has; it is made anew and compared.
    Without a lock that knows it, a package can only be found self-consistent: --wheel and
    --record-sha256 then say whether its RECORD is upstream's.

    With --set-aside, what is not proven is moved out of the channel with what needs it, and the
    rest stays: exit code 0. Index the channel again then. With --artifacts as well, of different
    files for one place the proven one is taken.

    With --channel, each package that the channel's repodata has is held against its attestation:
    that the signature is good, in Sigstore's log, and about this very file on this channel.

    \b
    Exit codes: 0 proven; 16 refuted; 17 not provable (not made by armtorch, or not attested);
    18 only self-consistent.
    \b
    Examples:
      armtorch verify channel
      armtorch verify 'channel/linux-aarch64/pytorch-2.10*' --json
      armtorch verify channel --provenance https://github.com/me/armtorch --set-aside refused
      armtorch verify libtorch-2.10.0-*.conda --wheel torch-2.10.0-cp310-*.whl
      armtorch verify --channel https://conda.example.org/torch --identity 'https://github.com/me/*'
    """
    if (channel is None) == (not packages):
        raise click.UsageError("name packages, or a channel with --channel")
    if channel is not None:
        attested = check_attestations(channel, identity=identity, trusted_root=trusted_root)
        _show_attested(attested, as_json=as_json)
        return
    options = VerifyOptions(wheels=wheels, record_sha256=record_sha256, provenance=provenance)
    if aside is not None:
        _set_aside(project, packages, options, aside, artifacts, as_json=as_json)
        return
    if artifacts is not None:
        raise click.UsageError("--artifacts goes with --set-aside")
    _verify(project, packages, options, as_json=as_json)


def _verify(
    project: Project, packages: Sequence[str], options: VerifyOptions, *, as_json: bool
) -> None:
    found = find_packages(packages)
    if patches := [path for path in found if is_patches(path)]:
        project.narrator.say(f"passed over: {len(patches)} packages of hotfixes' instructions")
        found = tuple(path for path in found if path not in patches)
    proofs = []
    with project.narrator.task("verifying", total=len(found)) as task:
        for proof in verify_packages(project, found, options):
            proofs.append(proof)
            task.advance(1)
            if not as_json:
                _show(proof)
    if as_json:
        write_json([proof_json(proof) for proof in proofs])
    raise_for(proofs)


def _set_aside(
    project: Project,
    packages: tuple[str, ...],
    options: VerifyOptions,
    aside: Path,
    artifacts: Path | None,
    *,
    as_json: bool,
) -> None:
    if len(packages) != 1 or Path(packages[0]).is_file():
        raise click.UsageError("--set-aside takes one channel folder")
    proofs = set_aside(project, Path(packages[0]), options, aside, artifacts=artifacts)
    if as_json:
        write_json([proof_json(proof) for proof in proofs])
        return
    for proof in proofs:
        _show(proof)
    gone = sum(proof.verdict != "proven" or bool(proof.notes) for proof in proofs)
    write(f"{len(proofs) - gone} of {len(proofs)} packages stay, {gone} are in {aside}")


def _show_attested(found: Sequence[Attested], *, as_json: bool) -> None:
    if as_json:
        write_json([asdict(each) for each in found])
    screen = Screen()
    for each in () if as_json else found:
        colour = _COLOURS.get(each.verdict, "yellow")
        screen.print(f" {each.package}", lead=each.verdict, colour=colour)
        if each.identity:
            screen.print(f"  by {each.identity} ({each.issuer})")
        for note in each.notes:
            screen.print(f"  {note}")
    raise_for_attested(found)


def proof_json(proof: Proof) -> dict[str, Any]:
    """Return a proof for ``--json``."""
    said = asdict(proof)
    said["binaries"]["share"] = proof.binaries.share
    return {**said, "raised_floor": said.pop("floor")}


def _show(proof: Proof) -> None:
    screen = Screen()
    colour = _COLOURS.get(proof.verdict, "yellow")
    screen.print(f" {proof.package}", lead=proof.verdict, colour=colour)
    if counts := {kind: number for kind, number in proof.counts.items() if number}:
        text = ", ".join(f"{number} {kind}" for kind, number in counts.items())
        screen.print(f"  {text}")
    if proof.binaries.files and proof.purl:
        known = proof.binaries
        screen.print(
            f"  {known.files} binaries, {megabytes(known.bytes)}: "
            f"{known.share:.2%} of their bytes are upstream's unchanged",
        )
    if proof.purl:
        commit = f", commit {proof.commit}" if proof.commit else ""
        screen.print(f"  from {proof.purl}{commit}")
    for path, patch in proof.patches.items():
        screen.print(f"  patched {path}: {patch}")
    if proof.floor is not None:
        screen.print(f"  {proof.floor}")
    for flaw in proof.flaws[:_SHOWN]:
        screen.print(f"  FLAW {flaw}")
    if len(proof.flaws) > _SHOWN:
        screen.print(f"  and {len(proof.flaws) - _SHOWN} more; --json lists them")
    for note in proof.notes:
        screen.print(f"  note: {note}")

"""``armtorch publish``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import click

from generator.channel import LocalChannel
from generator.channel.attesting import SUFFIX, Attest
from generator.channel.built import known_packages, wheel_bytes
from generator.channel.publication import Publication, PublishOptions, plan_publication, publish
from generator.commands.options import folder_option, json_option, many_option, refuse_no_channel
from generator.commands.tables import megabytes
from generator.printing import Screen, write, write_json
from generator.project import Project


@click.command("publish")
@click.argument("globs", nargs=-1, metavar="[GLOB]...")
@folder_option("--from", "source", default="channel", help="The local channel folder.")
@click.option(
    "--to",
    required=True,
    metavar="DEST",
    help="A name under destinations: in feedstock.yaml, a folder, or an address.",
)
@click.option("--label", default="", help="A label, or a channel below or beside DEST.")
@click.option("--jobs", type=click.IntRange(1), default=4, show_default=True, help="At once.")
@click.option("--force", is_flag=True, help="Replace packages whose bytes differ.")
@click.option(
    "--attest",
    type=click.Choice(get_args(Attest)),
    default="never",
    show_default=True,
    help="Sign each package with the CI's identity (sigstore, CEP 27), where DEST takes that.",
)
@folder_option(
    "--attestations",
    exists=True,
    help=f"Send the bundles of this folder along: PACKAGE.conda{SUFFIX}.",
)
@many_option(
    "--base",
    help="Solve each package with these base channels, too, before anything is sent.",
)
@click.option("--dry-run", is_flag=True, help="Show the plan and its bytes, and stop.")
@json_option
@click.pass_obj
def command(
    project: Project,
    /,
    *,
    source: Path,
    base: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
    **more: Any,
) -> None:
    """Publish packages: the files first, then the index, so that every record has its file.

    What is there with the same sha256 is skipped, so an interrupted run goes on where it stopped;
    other bytes under the same name are refused. GLOBs are over <subdir>/<file name>.

    \b
    DEST is a name from feedstock.yaml or
      ./folder, file:///folder            a folder, to be served by any web server
      s3://bucket/path                    any S3 API; AWS_ENDPOINT_URL names another one than AWS
      https://prefix.dev/CHANNEL          PREFIX_API_KEY
      https://anaconda.org/OWNER          ANACONDA_API_KEY, --label (main without one)
      quetz+https://server/CHANNEL        QUETZ_API_KEY
      artifactory+https://server/REPO     ARTIFACTORY_TOKEN
    Without the variable, rattler's stored login is used; for prefix.dev, in a CI, its trusted
    publishing, which attestations need.

    \b
    Examples:
      armtorch publish --to s3://my-bucket/torch --dry-run
      armtorch publish --to https://anaconda.org/me --label nightly
      armtorch publish 'linux-aarch64/*py312*' --to ./mirror
      armtorch publish --to https://prefix.dev/torch --attest always --base conda-forge
    """
    refuse_no_channel(base)
    options = PublishOptions(source=LocalChannel(source), base=base, **more)
    planned = plan_publication(project, options)
    if not as_json:
        _show(project, planned)
    if not dry_run:
        publish(project, planned, jobs=options.jobs)
        if not as_json:
            write(f"published: {planned.place.address}")
    if as_json:
        write_json(_as_json(project, planned, dry_run=dry_run))


def _wheels(project: Project, planned: Publication) -> tuple[int, int]:
    rows = planned.plan.rows
    packages = sum(row.package.record.size for row in rows)
    known = known_packages(project)
    # a label that is no train's has packages of any
    anywhere = {key: variant for (_, key), variant in known.items()}
    keys = [row.package.key for row in rows]
    label = planned.place.label
    return packages, wheel_bytes(known.get((label, key), anywhere.get(key)) for key in keys)


def _show(project: Project, planned: Publication) -> None:
    screen, plan = Screen(), planned.plan
    screen.table(
        ["package", "size", "", ""],
        [
            [row.package.key, megabytes(row.package.record.size), row.action, row.reason]
            for row in plan.rows
        ],
        right=[1],
    )
    after = megabytes(plan.bytes_after)
    limit = (
        f", {plan.bytes_after / plan.budget:.0%} of its {megabytes(plan.budget)}"
        if plan.budget
        else ""
    )
    screen.print(
        f"\n{len(plan.chosen('upload', 'replace'))} to send, {megabytes(plan.bytes_to_send)}; "
        f"{len(plan.chosen('skip'))} there already. {planned.place.address} then holds "
        f"{after}{limit}."
    )
    packages, wheels = _wheels(project, planned)
    if wheels > packages:
        screen.print(
            f"{megabytes(packages)} of packages stand for {megabytes(wheels)} of wheels "
            f"({packages / wheels:.0%})."
        )


def _as_json(project: Project, planned: Publication, *, dry_run: bool) -> dict[str, Any]:
    plan = planned.plan
    packages, wheels = _wheels(project, planned)
    return {
        "destination": str(planned.place.address),
        "url": planned.place.address.url,
        "published": not dry_run,
        "bytes_sent": 0 if dry_run else plan.bytes_to_send,
        "bytes_to_send": plan.bytes_to_send,
        "bytes_before": plan.bytes_before,
        "bytes_after": plan.bytes_after,
        "budget": plan.budget,
        "package_bytes": packages,
        "wheel_bytes": wheels,
        "packages": [
            {
                "package": row.package.key,
                "size": row.package.record.size,
                "sha256": row.package.record.sha256,
                "action": row.action,
                "reason": row.reason,
            }
            for row in plan.rows
        ],
    }

"""Builds one cell with armtorch into a fresh channel; prints the report as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from generator.channel import LocalChannel
from generator.console import Plain
from generator.matrix import Selection, select, variants
from generator.project import Project
from generator.stages.build import BuildOptions, build_variants, savings

_EVERY = ("libtorch", "pytorch-common", "pytorch", "torchvision", "torchaudio")


def main(
    feedstock: str,
    line: str,
    subdir: str,
    accelerator: str,
    out: str,
    level: str,
    *packages: str,
) -> None:
    project = Project(feedstock=Path(feedstock), narrator=Plain())
    wanted = Selection(
        lines=(line,),
        subdirs=(subdir,),
        accelerators=(accelerator,),
        packages=packages or _EVERY,
    )
    chosen = select(variants(project.declared(), project.locked()), wanted)
    options = BuildOptions(channel=LocalChannel(Path(out)), jobs=1, level=int(level))
    report = build_variants(project, chosen, options)
    report.raise_for_failures()
    found = savings(chosen, report)
    print(
        json.dumps(
            {
                "packages": len(report.rows),
                "package_bytes": found.packages,
                # workers are children of a fork server, which nobody here waits for
                "workers_cpu_seconds": sum(row.cpu_seconds for row in report.rows),
                "wheel_bytes": found.wheels,
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])

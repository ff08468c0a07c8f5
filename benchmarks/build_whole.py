"""The comparison: every wheel of a cell packaged whole, with the same rattler-build and level."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from rattler_build import (
    PlatformConfig,
    RenderConfig,
    Stage0Recipe,
    ToolConfiguration,
    VariantConfig,
)

from generator.building import place_of
from generator.console import Silent
from generator.project import Project

RECIPE = """\
schema_version: 1
package:
  name: {name}
  version: "{version}"
source:
  path: {path}
build:
  number: 0
  string: {build}
  dynamic_linking:
    binary_relocation: false
  python:
    version_independent: true
  script:
    interpreter: python
    content: |
      import os, pathlib, zipfile
      wheel = next(pathlib.Path(os.environ["SRC_DIR"]).glob("*.whl"))
      zipfile.ZipFile(wheel).extractall(pathlib.Path(os.environ["PREFIX"], "site-packages"))
requirements:
  run:
    - python
"""


def main(feedstock: str, line: str, subdir: str, accelerator: str, out: str, level: str) -> None:
    project = Project(feedstock=Path(feedstock), narrator=Silent())
    cell = next(
        cell
        for cell in project.locked().cells
        if (cell.line, cell.subdir, str(cell.accelerator)) == (line, subdir, accelerator)
    )
    sizes = []
    for number, wheel in enumerate(cell.wheels):
        path = place_of(wheel, project.wheelhouse)
        with tempfile.TemporaryDirectory() as folder:
            recipe = Path(folder, "recipe.yaml")
            recipe.write_text(
                RECIPE.format(
                    name=wheel.project, version=wheel.version, path=path, build=f"whole_{number}"
                )
            )
            platform = PlatformConfig(
                target_platform=subdir, build_platform="linux-64", host_platform=subdir
            )
            (rendered,) = Stage0Recipe.from_file(recipe).render(
                VariantConfig(), RenderConfig(platform)
            )
            built = rendered.run_build(
                tool_config=ToolConfiguration(test_strategy="skip"),
                output_dir=Path(out),
                channels=[],
                package_format=f"conda:{level}",
            )
            sizes += [Path(package).stat().st_size for package in built.packages]
    print(json.dumps({"packages": len(sizes), "package_bytes": sum(sizes)}))


if __name__ == "__main__":
    main(*sys.argv[1:])

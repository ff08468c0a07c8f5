"""`make clients CLIENTS=FOLDER`: conda, its solvers and conda-smithy, installed from checkouts.

None of them is on PyPI as its current release, and nothing but PyPI and Debian is reached, so who
wants them brings FOLDER with checkouts of their public repositories; FOLDER/.venv is made of them.
With ARMTORCH_CLIENTS=FOLDER the tests that need them run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

import pytest

#: installed in this order: each is asked of PyPI by the next, and is not there
CHECKOUTS: Final = (
    "menuinst",
    "conda",
    "conda-build",
    "conda-rattler-solver",
    "rattler-build-conda-compat",
    "conda-smithy",
)
#: installed where all are there: libmamba's bindings are C++, so FOLDER has a wheel of them
OPTIONAL: Final = ("conda-libmamba-solver", "libmambapy-*.whl")
#: what they need of PyPI and do not say in their metadata, being conda packages
FROM_PYPI: Final = (
    "conda-index",
    "cirun",
    "click",
    "exceptiongroup",
    "jsonschema",
    "license-expression",
    "py-rattler-build",
    "pycryptodome",
    "pydantic",
    "pygit2",
    "pygithub",
    "scrypt",
    "toolz",
)
PINNING: Final = "conda-forge-pinning-feedstock/recipe/conda_build_config.yaml"
#: rattler-build's command line is a conda package, too; its library takes the same arguments
RATTLER_BUILD: Final = """\
#!{python} -W ignore
import argparse
import sys
from pathlib import Path

import rattler_build
from rattler_build.cli_api import build_recipes

if "--version" in sys.argv:
    sys.exit(print("rattler-build", rattler_build.rattler_build_version()))
parser = argparse.ArgumentParser(allow_abbrev=False)
parser.add_argument("command", choices=["build"])
for option in ("--recipe", "--target-platform", "--build-platform"):
    parser.add_argument(option)
parser.add_argument("--render-only", action="store_true")
parser.add_argument("-m", "--variant-config", action="append")
options = vars(parser.parse_args())
options.pop("command")
recipe = Path(options.pop("recipe"))
build_recipes([str(recipe / "recipe.yaml" if recipe.is_dir() else recipe)], **options)
"""
# rattler-build-conda-compat as its public repository has it lacks the module that conda-smithy asks
OUTPUTS: Final = """\
def is_staging_output(output):
    return "staging" in output and "package" not in output
"""


def folder() -> Path:
    """The folder with the clients; skips the test where there is none."""
    if not (named := os.environ.get("ARMTORCH_CLIENTS")):
        pytest.skip("ARMTORCH_CLIENTS names no folder that `make clients` made")
    return Path(named).resolve()


def run(
    *words: str | Path, cwd: Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program of the clients' environment."""
    bin_folder = folder() / ".venv/bin"
    return subprocess.run(
        [bin_folder / words[0], *words[1:]],
        cwd=cwd,
        env={**os.environ, "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}", **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )


def versions() -> dict[str, str]:
    """The versions of what is installed there of conda's."""
    done = run("python", "-m", "pip", "list", "--format", "json", cwd=folder())
    listed = {each["name"]: each["version"] for each in json.loads(done.stdout)}
    asked = ("conda", "conda-libmamba-solver", "libmambapy", "conda-rattler-solver")
    return {name: listed[name] for name in asked if name in listed}


def install(clients: Path) -> None:
    """Make FOLDER/.venv of the checkouts; raises CalledProcessError where pip fails."""
    missing = [name for name in CHECKOUTS if not (clients / name).is_dir()]
    if missing:
        sys.exit(f"{clients}: no checkout of {', '.join(missing)}; put one there")
    home = clients / ".venv"
    venv.create(home, with_pip=True)
    pip: list[str | Path] = [home / "bin/python", "-m", "pip", "install", "--quiet"]
    for name in CHECKOUTS:
        subprocess.run([*pip, clients / name], check=True)
    optional = [path for name in OPTIONAL for path in clients.glob(name)]
    if len(optional) < len(OPTIONAL):
        sys.stderr.write(f"{clients}: not both of {' and '.join(OPTIONAL)}, so no libmamba\n")
        optional = []
    subprocess.run([*pip, *FROM_PYPI, *optional], check=True)
    outputs = next(home.glob("lib/*/site-packages/rattler_build_conda_compat")) / "outputs.py"
    if not outputs.exists():
        outputs.write_text(OUTPUTS)
    stand_in = home / "bin/rattler-build"
    stand_in.write_text(RATTLER_BUILD.format(python=home / "bin/python"))
    stand_in.chmod(0o755)


if __name__ == "__main__":
    install(Path(sys.argv[1]).resolve())

"""A repository with recipes as the templates write them, around wheels of a few hundred bytes."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from generator.atomic import write_bytes, write_text
from generator.building import BuildReport, Settings, build, place_of, plan
from generator.channel import LocalChannel
from generator.console import Silent
from generator.model import Accelerator, PythonBuild, Variant, Wheel

#: the newest member's time in every tiny wheel, 2 Jan 2026 03:04:06 UTC
NEWEST = (2026, 1, 2, 3, 4, 6)
NEWEST_MS = 1767323046000
PYTHONS = ("3.11", "3.12")

RECIPE = """\
schema_version: 1
package:
  name: {name}
  version: "1.0"
source:
{sources}
build:
  number: {number}
  string: {string}
  python:
    version_independent: true
  dynamic_linking:
    binary_relocation: false
  script:
    interpreter: python
    file: build.py
requirements:
  run:
    - python
about:
  license: BSD-3-Clause
extra:
  armtorch:
    digest: {digest}
"""
SOURCE = """\
  - if: match(python, "{python}.*")
    then:
      path: ../../../wheelhouse/{folder}/{file}
      sha256: {sha256}
      file_name: {file}
"""
BUILD = """\
import os, pathlib, zipfile

prefix = pathlib.Path(os.environ["PREFIX"])
site = prefix / "site-packages"
for wheel in pathlib.Path.cwd().glob("*.whl"):
    zipfile.ZipFile(wheel).extractall(site)
(site / "tiny" / "run").chmod(0o755)
(site / "tiny" / "link").symlink_to("../../lib/elsewhere.so")
(prefix / "lib").mkdir()
(prefix / "lib" / "libtiny.so").write_bytes(b"\\x7fELF" + bytes(2_000_000))
(prefix / "info" / "armtorch").mkdir(parents=True)
(prefix / "info" / "armtorch" / "note.json").write_text("{}")
print("the script ran")
"""


@dataclass(frozen=True)
class TinyRepo:
    """A feedstock of one line, ``1.0``, with packages of tiny wheels."""

    root: Path
    wheelhouse: Path

    def add(
        self,
        name: str = "tiny",
        *,
        number: int = 0,
        digest: str = "d1",
        build: str = BUILD,
        pythons: tuple[str, ...] = PYTHONS,
    ) -> list[Variant]:
        """Write (or rewrite) a package's recipe and return its variants, one per Python."""
        wheels = {python: self._wheel(name, python) for python in pythons}
        recipe = self.root / "recipes" / "1.0" / name / "recipe.yaml"
        sources = "".join(
            SOURCE.format(
                python=python, folder=wheel.sha256[:16], file=wheel.filename, sha256=wheel.sha256
            )
            for python, wheel in wheels.items()
        )
        write_text(
            recipe,
            RECIPE.format(
                name=name,
                sources=sources,
                number=number,
                digest=digest,
                string="py${{ python | version_to_buildstring }}_${{ hash }}_" + str(number),
            ),
        )
        write_text(recipe.with_name("build.py"), build)
        return [
            self._variant(name, PythonBuild.parse(python), wheel, number, digest)
            for python, wheel in wheels.items()
        ]

    def _variant(
        self, name: str, python: PythonBuild, wheel: Wheel, number: int, digest: str
    ) -> Variant:
        config: dict[str, tuple[str, ...]] = {
            "python": (python.variant_value,),
            "target_platform": ("linux-aarch64",),
        }
        variant = Variant(
            line="1.0",
            train="stable",
            package=name,
            subdir="linux-aarch64",
            accelerator=Accelerator(),
            python=python,
            version="1.0",
            build_number=number,
            digest=digest,
            stem=f"linux_aarch64_python{python}",
            config=config,
            wheels=(wheel,),
        )
        path = self.root / variant.config_path
        write_text(path, "".join(f"{key}:\n- '{value}'\n" for key, (value, *_) in config.items()))
        return variant

    def _wheel(self, name: str, python: str) -> Wheel:
        tag = PythonBuild.parse(python).abi
        return tiny_wheel(
            self.wheelhouse,
            f"{name}-1.0-{tag}-{tag}-manylinux_2_28_aarch64.whl",
            {"tiny/__init__.py": f"python = '{python}'\n", "tiny/run": "#!/bin/sh\n"},
        )


def make_repo(folder: Path) -> TinyRepo:
    """Make an empty repository in ``folder`` with a wheelhouse, as a checkout that was built in."""
    repo = TinyRepo(folder / "repo", folder / "wheelhouse")
    repo.root.mkdir(parents=True)
    repo.wheelhouse.mkdir()
    (repo.root / "wheelhouse").symlink_to(repo.wheelhouse)
    return repo


def tiny_wheel(wheelhouse: Path, filename: str, members: dict[str, str]) -> Wheel:
    """Write a wheel into its place in the wheelhouse."""
    wheelhouse.mkdir(exist_ok=True)
    draft = io.BytesIO()
    with zipfile.ZipFile(draft, "w") as archive:
        for number, (name, text) in enumerate(members.items()):
            date = NEWEST if number == 0 else (2020, 5, 6, 7, 8, 10)
            archive.writestr(zipfile.ZipInfo(name, date), text)
    content = draft.getvalue()
    wheel = replace(wheel_of(filename, content), timestamp=NEWEST_MS)
    target = place_of(wheel, wheelhouse)
    write_bytes(target, content, durable=False)
    return wheel


def wheel_of(filename: str, content: bytes) -> Wheel:
    """Describe a wheel file as the lock would."""
    project, version, tag, *_ = filename.split("-")
    return Wheel(
        project=project,
        version=version,
        filename=filename,
        purl=f"pkg:pypi/{project}@{version}?file_name={filename}",
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        index="pypi",
        python=PythonBuild.from_abi(tag),
        platforms=("manylinux_2_28_aarch64",),
        metadata="",
        metadata_origin="range",
        record="",
    )


def build_all(
    variants: Sequence[Variant], *, channel: LocalChannel, settings: Settings, force: bool = False
) -> BuildReport:
    """Plan and build variants, quietly."""
    told = settings.provenance
    planned = [
        plan(each, repo=settings.repo, channel=channel, force=force, provenance=told.get(each.id))
        for each in variants
    ]
    return build(planned, channel=channel, settings=settings, narrator=Silent())

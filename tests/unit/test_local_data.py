"""Rows beside feedstock.yaml, laid over armtorch's own and checked as those are."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from ruamel.yaml import YAML

from generator import datafiles
from generator.commands import cli
from generator.documents import lay_over
from generator.errors import ArmtorchError, DataError
from generator.explaining.facts import jetpacks
from generator.matrix.smithy import smithy
from generator.naming import sonames
from generator.stages.local_data import READERS
from tests.other_data import forget_data
from tests.own_feedstock import DECLARED

OWN_LIBRARY = """\
libraries:
- name: libgomp.so.1
  subdirs: [linux-aarch64, linux-armv7l]
  action: unvendor
  spec: libgomp >=14
  confidence: verified
  note: this channel's base has no mutex
"""
#: armtorch would read that file, and write it beside recipes
ASIDE = "packages: {x: {made: python, project: x, aside: torchvision}}\n"
TEXT_ELSEWHERE = """\
bundled:
- part: x
  packages: [pytorch]
  versions: ""
  subdirs: [linux-aarch64]
  match: ["**"]
  texts: [../../../secret]
  license: [MIT]
"""


@pytest.fixture
def armtorch(tmp_path: Path) -> Iterator[Callable[..., Result]]:
    """The command in a folder with a feedstock; the rows in its data/ hold until the test ends."""
    (tmp_path / "data").mkdir()
    (tmp_path / "feedstock.yaml").write_bytes(DECLARED.read_bytes())
    forget_data()

    def run(*words: str) -> Result:
        return CliRunner().invoke(cli, ["--feedstock", str(tmp_path / "feedstock.yaml"), *words])

    yield run
    lay_over(None)
    forget_data()


def test_rows_are_added_and_take_the_place_of_their_namesakes(
    armtorch: Callable[..., Result], tmp_path: Path
) -> None:
    before = jetpacks()
    row = sonames("linux-aarch64").find("libgomp.so.1")
    assert row is not None
    assert str(row.spec) == "_openmp_mutex >=4.5"
    forget_data()
    (tmp_path / "data/jetson.yaml").write_text(
        '- {l4t: "40", jetpack: "8.0", cuda: "14.0", glibc: "2.41", sbsa: true}\n'
        '- {l4t: "39", jetpack: "7.3", cuda: "13.3", glibc: "2.39", sbsa: true}\n'
    )
    (tmp_path / "data/sonames.yaml").write_text(OWN_LIBRARY)
    (tmp_path / "data/smithy.yaml").write_text(
        "platforms: {linux-aarch64: {github_actions_labels: my-board}}\n"
    )
    done = armtorch("data", "jetson")
    assert done.exit_code == 0, done.output
    shown = {each["l4t"]: each["jetpack"] for each in json.loads(done.output)}
    assert [each.jetpack for each in jetpacks()] == list(shown.values())
    assert {"40": "8.0", "39": "7.3"}.items() <= shown.items()
    assert len(shown) == len(before) + 1
    row = sonames("linux-aarch64").find("libgomp.so.1")
    assert row is not None
    assert str(row.spec) == "libgomp >=14"
    runner = smithy().platforms["linux-aarch64"]
    assert (runner.github_actions_labels, bool(runner.docker_image)) == ("my-board", True)
    listed = json.loads(armtorch("data", "--json").output)
    local = [each["name"] for each in listed if each["local"]]
    assert local == ["jetson.yaml", "smithy.yaml", "sonames.yaml"]


def _audio(**row: Any) -> str:
    own = {"made": "python", "project": "torchaudio", **row}
    return json.dumps({"packages": {"torchaudio": own}})


def _taking(versions: str, what: str) -> str:
    return _audio(takes={"torchcodec": {"versions": versions, "for": what}})


def _names(**row: Any) -> str:
    return json.dumps({"projects": {"evil": row}})


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("jetson.yaml", "- {l4t: 40}\n", "data/jetson.yaml over "),
        ("jetson.yaml", "l4t: 40\n", "has dict where armtorch's own has list"),
        ("jetson.yaml", "- {\n", "data/jetson.yaml: "),
        ("jetsons.yaml", "[]\n", "perhaps you meant jetson.yaml"),
        ("jetson.yaml", f"- {'[' * 5000}", "nested more than"),
        ("jetson.yaml", "- 2026-13-01\n", "not readable as YAML"),
        ("jetson.yaml", "- !!int x\n", "it has a tag"),
        ("releases.yaml", "- a\n" * 600_000, "it has more than"),
        ("licenses.yaml", TEXT_ELSEWHERE, "has letters that names cannot have"),
        (
            "packages.yaml",
            "packages: {tq: {made: python, project: tq, subdirs: [linux-arm64]}}\n",
            "no subdir that armtorch knows",
        ),
        ("packages.yaml", "packages: {numpy: {made: python, project: x}}\n", "that of numpy"),
        ("packages.yaml", "packages: {python: {made: wheel, project: x}}\n", "that of others"),
        ("packages.yaml", ASIDE, "another row's name"),
        ("limits.yaml", "zip: {ratio: 100000}\n", "no data file that a channel can lay"),
        # rows become parts of recipes, which rattler-build evaluates
        ("packages.yaml", _audio(homepage="https://x/${{env.get('K')}}"), "is an expression"),
        ("packages.yaml", _audio(homepage="https://x\nlicense: MIT"), "show nothing"),
        ("packages.yaml", _audio(imports=["os\n      - evil"]), "show nothing"),
        ("packages.yaml", _audio(imports=["os; evil"]), "imports"),
        ("packages.yaml", _taking(">=1", "x ${{ env.get('K') }}"), "is an expression"),
        ("packages.yaml", _taking(">=1", "x\nbuild: {script: evil}"), "show nothing"),
        ("packages.yaml", _taking("newest", "x"), "is no version specifier"),
        ("packages.yaml", _audio(takes={"../evil": {"versions": "", "for": "x"}}), "takes"),
        ("warnings.yaml", '- {id: "\\e[2J"}\n', "show nothing"),
        ("pypi_names.yaml", _names(conda="numpy >=1\n- evil"), "show nothing"),
        ("pypi_names.yaml", _names(conda="evil # numpy"), "conda"),
        ("pypi_names.yaml", _names(conda="x", floors={"1": "1 # x"}), "floors"),
        ("pypi_names.yaml", _names(conda="x", extras={"1": {"a": "x {cuda.y}"}}), "other fields"),
        ("pypi_names.yaml", _names(conda="x", extras={"1": {"a": "{cuda:>9}"}}), "other fields"),
        ("pypi_names.yaml", '{same_name: ["a b"]}\n', "not a normalised name"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_name(
    armtorch: Callable[..., Result], tmp_path: Path, name: str, text: str, said: str
) -> None:
    (tmp_path / "data" / name).write_text(text)
    done = armtorch("data")
    assert isinstance(done.exception, ArmtorchError)
    assert done.exception.exit_code == DataError.exit_code
    assert said in str(done.exception)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in folders")
def test_a_pipe_in_a_files_place_keeps_nobody_waiting(
    armtorch: Callable[..., Result], tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "data/jetson.yaml")
    done = armtorch("data")
    assert "not a regular file" in str(done.exception)


def test_a_folder_of_that_name_without_a_feedstock_is_somebody_elses(
    armtorch: Callable[..., Result], tmp_path: Path
) -> None:
    (tmp_path / "data/prices.yaml").write_text("[]\n")
    (tmp_path / "feedstock.yaml").unlink()
    assert armtorch("data").exit_code == 0


def test_every_file_that_can_be_laid_over_has_its_reader() -> None:
    assert tuple(READERS) == datafiles.LOCAL


@pytest.mark.parametrize("path", sorted(datafiles.DATA.glob("*.yaml")), ids=lambda path: path.name)
def test_the_parser_in_c_reads_of_armtorchs_own_data_what_the_one_in_python_reads(
    path: Path,
) -> None:
    read = [YAML(typ="safe", pure=pure).load(path.read_text("utf-8")) for pure in (False, True)]
    assert repr(read[0]) == repr(read[1])

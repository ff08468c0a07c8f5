"""`armtorch compile` by the committed row: libc10 for ARMv7, killed on the way, and run under qemu.

Debian's packages and the root unpacked from them stay in the user's cache, beside the forge's; the
tree is made anew.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from generator.channel import LocalChannel
from generator.compiling.root import Root
from generator.console import Silent
from generator.errors import BuildError, MissingToolError, UnreachableError
from generator.matrix import variants
from generator.project import Project
from generator.stages.build import BuildOptions, build_variants
from generator.stages.render import render_feedstock
from generator.stages.update import update_lock
from tests.committed import ROOT
from tests.forge.channel import default_cache
from tests.integration.test_recipe_builds import Built
from tests.synthetic_wheels import Release

pytestmark = pytest.mark.integration

#: the index of docs/compiling.md, read by nothing else here
FEEDSTOCK = """\
channel: compiled
maintainers: [someone]
carry_armtorch: false
indexes:
  compiled: {index}
trains:
  stable: {{keep: [newest], indexes: [compiled]}}
subdirs:
  linux-armv7l: {{accelerators: [cpu], base: [conda-forge]}}
"""
#: of the wheels of rows that are made here
TAGS = "1.0+armtorch1-cp313-cp313-linux_armv7l.whl"
PROGRAM = """\
#include <c10/core/Scalar.h>
#include <c10/core/ScalarType.h>
#include <c10/util/BFloat16.h>
#include <c10/util/Exception.h>
#include <c10/util/Half.h>
#include <c10/util/intrusive_ptr.h>
#include <cstdint>
#include <iostream>

struct Counted : c10::intrusive_ptr_target { int value = 7; };

int main() {
  std::int64_t large = 4294967299;  // above 2^32
  std::cout << c10::Scalar(large).toLong() * 3 << ' ' << float(c10::Half(1.5f)) << ' '
            << float(c10::BFloat16(-2.0f)) << ' ' << c10::toString(c10::ScalarType::Float) << ' ';
  auto one = c10::make_intrusive<Counted>();
  auto two = one;
  std::cout << two.use_count() << ' ' << two->value << ' ' << sizeof(void*) << ' ';
  try {
    TORCH_CHECK(false, "no ", 5);
  } catch (const c10::Error& error) {
    std::cout << error.what_without_backtrace() << '\\n';
  }
}
"""


def _command(committed: Path, work: Path) -> list[str]:
    feedstock = str(committed / "feedstock.yaml")
    return [
        *(sys.executable, "-m", "generator", "--feedstock", feedstock, "compile", "torch/c10"),
        *("--work", str(work), "--jobs", "2", "--json"),
    ]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A working folder that shares what is Debian's, and ccache, with earlier runs."""
    shared = default_cache().parent / "compiling"
    for name in ("apt", "debs", "roots", "sources", "ccache"):
        (shared / name).mkdir(parents=True, exist_ok=True)
        folder = tmp_path / "work"
        folder.mkdir(exist_ok=True)
        (folder / name).symlink_to(shared / name)
    return folder


def _run(command: list[str]) -> list[dict[str, Any]]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode in {MissingToolError.exit_code, UnreachableError.exit_code}:
        pytest.skip(f"nothing can be compiled here: {done.stderr.strip().splitlines()[-2:]}")
    assert done.returncode == 0, done.stderr
    outcomes: list[dict[str, Any]] = json.loads(done.stdout)
    return outcomes


def _kill_after(command: list[str], work: Path, units: int) -> bool:
    """Kill the command when ninja has made so many units; say whether it was still running."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            if len(_objects(work)) >= units:
                process.send_signal(signal.SIGKILL)
                return True
            time.sleep(0.05)
    return False


def _objects(work: Path) -> list[Path]:
    return list(work.glob("trees/*/source/build/c10/CMakeFiles/**/*.o"))


def _library(work: Path) -> bytes:
    (found,) = work.glob("trees/*/source/build/lib/libc10.so")
    return found.read_bytes()


def _run_in_root(outcome: dict[str, Any], work: Path, *argv: str) -> str:
    (stamp,) = (work / "roots").glob("*.json")
    root = Root(folder=stamp.with_suffix("").resolve(), packages=(), compiler="")
    tree, cache = Path(outcome["tree"]), work / "ccache"
    command = root.command(argv, tree=tree, cache=cache, environment={})
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_c10_goes_on_after_a_kill_and_runs(committed, work):
    command = _command(committed, work)
    if not _kill_after(command, work, 20):
        _run(command)  # says why it ended
        pytest.fail("it was done before it could be killed")
    before = len(_objects(work))
    (outcome,) = _run(command)
    assert (outcome["state"], outcome["done"]) == ("done", outcome["total"])
    assert before >= 20
    assert outcome["total"] > before
    source = Path(outcome["tree"]) / "check.cpp"
    source.write_text(PROGRAM)
    _run_in_root(
        outcome,
        work,
        *("arm-linux-gnueabihf-g++-14", "-std=c++17", "-march=armv7-a+neon-vfpv4"),
        *("-mfloat-abi=hard", "-I/armtorch/source", "-I/armtorch/source/build"),
        *("/armtorch/check.cpp", "-o", "/armtorch/check", "-L/armtorch/source/build/lib", "-lc10"),
        "-Wl,-rpath-link,/usr/lib/arm-linux-gnueabihf",
    )
    said = _run_in_root(
        outcome,
        work,
        *("qemu-arm", "-E", "LD_LIBRARY_PATH=/armtorch/source/build/lib", "/armtorch/check"),
    )
    assert said == "12884901897 1.5 -2 Float 2 7 4 no 5\n"


@pytest.mark.prove
def test_two_folders_and_three_kills_give_the_same_bytes(committed, work, tmp_path):
    """No cache is shared, and the folders' names have not even the same length."""
    (work / "ccache").unlink()
    other = tmp_path / "another" / "folder"
    shutil.copytree(work, other, symlinks=True)
    _run(_command(committed, other))
    chance = random.Random("19")
    command = _command(committed, work)
    for units in sorted(chance.sample(range(5, 75), 3)):
        assert _kill_after(command, work, units)
    _run(command)
    assert _library(work) == _library(other)


def test_wheels_of_its_names_go_the_whole_line(tmp_path):
    """From a folder of them, by the index that docs/compiling.md writes down, to packages."""
    release = Release(
        subdir="linux-armv7l",
        torch="2.6.0",
        torchvision="0.21.0",
        torchaudio="2.6.0",
        local="armtorch1",
        tag="linux_armv7l",
    )
    for wheel in release.wheels(["cp313"]):
        wheel.write(tmp_path / "wheels")
    page = (ROOT / "docs/compiling.md").read_text()
    index = re.search(r"^  compiled: (.*)$", page, re.MULTILINE)
    assert index
    (tmp_path / "feedstock.yaml").write_text(FEEDSTOCK.format(index=index[1]))
    project = Project(
        feedstock=tmp_path / "feedstock.yaml",
        narrator=Silent(),
        environment={"PIP_CONFIG_FILE": os.devnull, "HOME": str(tmp_path)},
        cache=tmp_path / "cache",
    )
    assert update_lock(project).findings == ()
    render_feedstock(project)
    channel = LocalChannel(tmp_path / "channel")
    found = variants(project.declared(), project.locked())
    report = build_variants(project, found, BuildOptions(channel=channel, jobs=2, level=1))
    report.raise_for_failures()
    names = {path.name.split("-cpu_")[0] for path in channel.root.glob("linux-armv7l/*.conda")}
    assert {"libtorch-2.6.0", "pytorch-2.6.0", "torchvision-0.21.0", "torchaudio-2.6.0"} <= names
    (pytorch,) = channel.root.glob("linux-armv7l/pytorch-2.6.0-*.conda")
    assert "__glibc >=2.41" in Built.open(pytorch).index["depends"]


SETUP = """\
import base
from setuptools import Extension, setup

extension = Extension("small", ["small.cpp"], include_dirs=[base.headers()], language="c++")
setup(name="small", version="1.0+armtorch1", ext_modules=[extension])
"""
SMALL = """\
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <base.h>
#include <string>

static PyObject* answer(PyObject*, PyObject*) {
  std::string said = std::to_string(BASE) + " of " + std::to_string(8 * sizeof(void*));
  return PyUnicode_FromString(said.c_str());
}
static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, ""}, {}};
static PyModuleDef module = {PyModuleDef_HEAD_INIT, "small", "", -1, methods};
PyMODINIT_FUNC PyInit_small() { return PyModule_Create(&module); }
"""
HEADERS = "import pathlib\ndef headers(): return str(pathlib.Path(__file__).parent)\n"
ROW = """\
  {name}:
    project: {name}
    version: "1.0"
    local: armtorch1
    subdir: linux-armv7l
    python: "3.13"
    suite: trixie
    source: pkg:deb/debian/{name}@1.0-1?arch=source
    files: {{{name}_1.0.orig.tar.gz: {sha256}}}
    epoch: 1700000000
"""


def _upon(committed: Path, work: Path) -> Path:
    """Write two rows before the committed ones, whose root they share; one is upon the other."""
    content = {"small-1.0/setup.py": SETUP, "small-1.0/small.cpp": SMALL}
    (work / "sources").unlink()
    (work / "sources").mkdir()
    archive = work / "sources/small_1.0.orig.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, text in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    feedstock, rows = work.parent / "feedstock.yaml", (committed / "feedstock.yaml").read_text()
    own = ROW.format(name="base", sha256=sha256) + ROW.format(name="small", sha256=sha256)
    before, heading, after = rows.partition("\nsources:\n")
    feedstock.write_text(f"{before}{heading}{own}    upon: base\n{after}")
    return feedstock


def test_a_wheel_is_compiled_upon_another_by_the_targets_own_python(committed, work, tmp_path):
    feedstock, out = _upon(committed, work), tmp_path / "wheels"
    made = []
    for place in (work, tmp_path / "another" / "folder"):
        if place != work:
            shutil.copytree(work, place, symlinks=True, ignore=shutil.ignore_patterns("trees"))
        command = [
            *(sys.executable, "-m", "generator", "--feedstock", str(feedstock), "compile", "small"),
            *("--work", str(place), "--out", str(out), "--json"),
        ]
        if not out.is_dir():
            lacking = subprocess.run(command, capture_output=True, text=True, check=False)
            if lacking.returncode not in {MissingToolError.exit_code, UnreachableError.exit_code}:
                assert lacking.returncode == BuildError.exit_code
                assert "make it first: armtorch compile base" in lacking.stderr
            out.mkdir()
            with zipfile.ZipFile(out / f"base-{TAGS}", "w") as wheel:
                wheel.writestr("base/__init__.py", HEADERS)
                wheel.writestr("base/base.h", "#define BASE 4294967299LL\n")
        (outcome,) = _run(command)
        made.append(Path(outcome["wheel"]).read_bytes())
    assert made[0] == made[1]
    account = json.loads((out / f"small-{TAGS}.provenance.json").read_text())
    assert list(account["source"]["upon"]) == [f"base-{TAGS}"]
    inside = ("/armtorch/dist/small-" + TAGS, "/armtorch/made")
    _run_in_root(outcome, work, "python3", "-m", "zipfile", "-e", *inside)
    said = _run_in_root(
        outcome,
        work,
        *("env", "PYTHONHOME=/usr", "PYTHONPATH=/armtorch/made", "qemu-arm"),
        *("/target/usr/bin/python3.13", "-c", "import small; print(small.answer())"),
    )
    assert said == "4294967299 of 32\n"

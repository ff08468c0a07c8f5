"""C++ that is built against the installed packages, cross-compiled and run emulated."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from generator.testing import create, solve
from generator.testing.runner import clean_environment
from tests.e2e.conftest import PROGRAMS

pytestmark = [pytest.mark.e2e, pytest.mark.emulated]

_INCLUDES = re.compile(r"#include\s*<([\w./-]+\.h)>")
#: the macros that Inductor has its kernels compiled with on ARM (torch/_inductor/cpu_vec_isa.py)
_INDUCTORS = (
    "-DCPU_CAPABILITY=NEON", "-DCPU_CAPABILITY_NEON", "-DAT_BUILD_ARM_VEC256_WITH_SLEEF",
)  # fmt: skip
_ONCE_LACKING = ("distributed/c10d/error.h", "profiler/unwind/unwind_error.h")
#: either compiler; the second is not on every machine, and shows the same in `make prove`
BOTH = pytest.mark.parametrize(
    "compiler", ["g++", pytest.param("clang++", marks=pytest.mark.prove)]
)


@pytest.fixture
def folder(tmp_path, request):
    """A copy of one folder of programs/, named by the test's marker."""
    name = request.node.get_closest_marker("program").args[0]
    return Path(shutil.copytree(PROGRAMS / name, tmp_path / name))


def build(command, *, cwd):
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run(program, developer, runner):
    done = subprocess.run(
        runner.command([str(program)]),
        env=clean_environment(developer.prefix, runner, os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "checked with torch 2.10.0" in done.stdout


def written_headers(site_packages: Path) -> set[str]:
    """The headers that torch's Python code writes an #include of, in what it has compiled."""
    texts = [path.read_text("utf-8") for path in sorted((site_packages / "torch").rglob("*.py"))]
    found = {name for text in texts for name in _INCLUDES.findall(text)}
    # what another toolkit's headers belong to
    own = {name for name in found if not re.search(r"cuda|mps|sycl|xpu|CUDA", name)}
    return {name for name in own if (site_packages / "torch/include" / name).is_file()}


def needing_python(headers, prefix, compiler, tmp_path) -> set[str]:
    """Return the headers that include Python's, which libtorch has not; no other may be missing."""
    found = set()
    for name in sorted(headers):
        source = tmp_path / "one.cpp"
        source.write_text(f"#include <{name}>\n")
        includes = [f"-I{prefix}/include", f"-I{prefix}/include/torch/csrc/api/include"]
        # -MG: what is missing is named, and is no error
        command = [*compiler, "-std=c++17", "-M", "-MG", *_INDUCTORS, *includes, source]
        # without Python's version a header takes it for Python 2 and refuses: no matter here
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        words = done.stdout.replace("\\\n", " ").split()[1:]
        assert words, done.stderr
        missing = {word for word in words if not Path(word).is_absolute()}
        if "Python.h" in missing:
            found.add(name)
        else:
            assert not missing, (name, missing)
    return found


def compiles(headers, prefix, compiler, tmp_path):
    """Compile includes of headers with what the prefix has of them."""
    source = tmp_path / "headers.cpp"
    source.write_text("".join(f"#include <{name}>\n" for name in sorted(headers)))
    includes = [prefix / "include", prefix / "include/torch/csrc/api/include"]
    includes += sorted(prefix.glob("include/python3.*"))
    command = [*compiler, "-std=c++17", "-fsyntax-only", *_INDUCTORS, *(f"-I{i}" for i in includes)]
    build([*command, source], cwd=tmp_path)
    # what this machine's own folders have would hide what the prefix lacks
    used = build([*command, "-M", source], cwd=tmp_path)
    for place in ("pybind11/pybind11.h", "fmt/format.h", "sleef.h"):
        assert {Path(word) for word in used.split() if word.endswith(f"/{place}")} <= {
            prefix / "include" / place
        }


@pytest.mark.parametrize("standalone", [False, pytest.param(True, marks=pytest.mark.prove)])
@BOTH
def test_headers_that_torch_has_compiled_need_no_other_folder(
    tools, developer, compiler, standalone, tmp_path
):
    headers = written_headers(developer.prefix / "lib/python3.11/site-packages")
    assert {"torch/extension.h", "ATen/cpu/vec/vec.h"} < headers
    # what Inductor writes is for Python or for a program without it, and defines the same twice
    kind = {name for name in headers if ("/aoti_include/" in name) == standalone}
    compiles(kind, developer.prefix, tools.compiler(compiler), tmp_path)


@pytest.mark.prove
@BOTH
def test_libtorch_alone_has_what_its_headers_include(
    tools, machine, base, cpu_channel, developer, compiler, tmp_path
):
    records = solve(["libtorch"], channels=[cpu_channel.url, base.url], machine=machine)
    assert {"fmt", "sleef"} <= {record.name.normalized for record in records}
    prefix = tmp_path / "prefix"
    create(records, subdir=machine.subdir, prefix=prefix, package_cache=tmp_path / "cache")
    written = written_headers(developer.prefix / "lib/python3.11/site-packages")
    # and the three that once lacked sleef and fmt
    written |= {f"torch/csrc/{name}" for name in _ONCE_LACKING}
    words = tools.compiler(compiler)
    bare = written - needing_python(written, prefix, words, tmp_path)
    assert "ATen/cpu/vec/vec.h" in bare
    for standalone in (False, True):
        compiles(
            {each for each in bare if ("/aoti_" in each) == standalone}, prefix, words, tmp_path
        )


@pytest.mark.program("extension")
@BOTH
def test_a_cpp_extension_is_built_by_torch_and_works(folder, tools, developer, python, compiler):
    words = " ".join(map(str, tools.compiler(compiler)))
    named = {"CC": words, "CXX": words, "LDSHARED": f"{words} -shared"}
    # the emulated setup.py starts the compiler of this machine: the kernel runs either kind
    log = python(
        *("setup.py", "build_ext", "--inplace"),
        cwd=folder,
        added=named if compiler == "clang++" else None,
    )
    assert compiler in log
    assert f"-I{developer.prefix}/lib/python3.11/site-packages/torch/include" in log
    assert "-lc10 -ltorch -ltorch_cpu -ltorch_python" in log
    assert "the extension works" in python("use.py", cwd=folder)


@pytest.mark.program("consumer")
@pytest.mark.parametrize(
    "place", [pytest.param("cmake_prefix_path", marks=pytest.mark.prove), "prefix"]
)
@BOTH
def test_a_cmake_project_finds_torch(folder, tools, developer, runner, place, compiler):
    site_packages = developer.prefix / "lib/python3.11/site-packages"
    root = {
        "cmake_prefix_path": site_packages / "torch/share/cmake",
        "prefix": developer.prefix,
    }[place]
    configure = [tools.cmake, "-S", folder, "-B", folder / "build", "-G", "Unix Makefiles"]
    log = build(
        [
            *configure,
            f"-DCMAKE_TOOLCHAIN_FILE={folder / 'arm.cmake'}",
            f"-DCMAKE_PREFIX_PATH={root}",
            f"-DCMAKE_CXX_COMPILER={tools.compiler(compiler)[0]}",
            "-DCMAKE_CXX_COMPILER_TARGET=aarch64-linux-gnu",
        ],
        cwd=folder,
    )
    expected = developer.prefix if place == "prefix" else site_packages / "torch"
    assert f"torch in {expected}" in log
    build([tools.cmake, "--build", folder / "build"], cwd=folder)
    run(folder / "build/consumer", developer, runner)


@pytest.mark.program("consumer")
def test_a_program_written_for_conda_forges_libtorch_is_built(folder, tools, developer, runner):
    prefix = developer.prefix
    includes = [f"-I{prefix}/include", f"-I{prefix}/include/torch/csrc/api/include"]
    links = [f"-L{prefix}/lib", "-ltorch", "-ltorch_cpu", "-lc10", f"-Wl,-rpath,{prefix}/lib"]
    # see consumer/arm.cmake
    command = [tools.gxx, "-std=c++17", "consumer.cpp", "-o", "consumer", *includes, *links]
    build([*command, "-Wl,--allow-shlib-undefined"], cwd=folder)
    run(folder / "consumer", developer, runner)

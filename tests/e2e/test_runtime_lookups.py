"""What torch looks for while it runs is where it looks (emulated)."""

from __future__ import annotations

import os
import subprocess

import pytest

from generator.testing import create, solve
from generator.testing.runner import clean_environment
from tests.compiler import ensure_compiler
from tests.e2e.conftest import PROGRAMS

pytestmark = [pytest.mark.e2e, pytest.mark.emulated]

#: inductor asks for -march=native, which a cross compiler does not know
COMPILER = """\
#!/bin/bash
options=()
for option in "$@"; do
  [[ $option == -march=native ]] || options+=("$option")
done
exec {gxx} "${{options[@]}}"
"""


def test_processes_share_tensors(python, runner, tmp_path):
    if runner.mode == "qemu":
        pytest.skip("the kernel does not start ARM programs here, so torch_shm_manager cannot run")
    assert "processes share tensors" in python(PROGRAMS / "sharing.py", cwd=tmp_path)


def test_torch_finds_its_files_and_compiles(python, tools, tmp_path):
    compiler = tmp_path / "g++"
    compiler.write_text(COMPILER.format(gxx=tools.gxx))
    compiler.chmod(0o755)
    added = {
        "CXX": str(compiler),
        "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache"),
        "TMPDIR": str(tmp_path),
    }
    assert "torch finds its files" in python(PROGRAMS / "lookups.py", cwd=tmp_path, added=added)


@pytest.mark.prove
@pytest.mark.timeout(3600)
def test_torch_compiles_with_the_compiler_of_the_base_channel(
    cpu_channel, base, machine, runner, tmp_path
):
    """Nothing is set: inductor finds the environment's g++, which is emulated as all else."""
    records = solve(
        ["python=3.11", "pytorch", "cpuonly", "gxx"],
        channels=[cpu_channel.url, ensure_compiler(), base.url],
        machine=machine,
    )
    prefix = tmp_path / "prefix"
    create(records, subdir=machine.subdir, prefix=prefix, package_cache=tmp_path / "cache")
    added = {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "compiled"), "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        runner.command([str(prefix / "bin/python"), str(PROGRAMS / "lookups.py")]),
        env={**clean_environment(prefix, runner, os.environ), **added},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert "torch finds its files" in done.stdout
    # what was compiled is a library for ARM, which the process has loaded
    (kernel,) = (tmp_path / "compiled").rglob("*.main.so")
    assert kernel.read_bytes()[18:20] == b"\xb7\0"

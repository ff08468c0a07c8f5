"""What torch looks for while it runs is where it looks (emulated)."""

from __future__ import annotations

import pytest

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

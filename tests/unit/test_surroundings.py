"""The tests' verdict does not depend on what they were started from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT
from tests.counts import first

#: as `nohup make test &` starts it, from a shell with everything else amiss, too
STARTED = 'trap "" INT QUIT TERM HUP; umask 077; ulimit -Sn 300; exec "$@"'
ODD = {
    "TZ": "Asia/Kathmandu",
    "LANG": "tr_TR.UTF-8",
    "LC_ALL": "C",
    "TERM": "xterm-256color",
    "COLUMNS": "20",
    "NO_COLOR": "1",
    "FORCE_COLOR": "1",
    "PYTHONWARNINGS": "error",
    "PYTHONHASHSEED": "1",
    "PIP_NO_INDEX": "1",
    "PIP_REQUIRE_VIRTUALENV": "1",
    "CONDA_OVERRIDE_CUDA": "13.0",
    "CONDARC": "/nowhere/condarc",
    "GITHUB_OUTPUT": "/nowhere/output",
    "ARMTORCH_SYSROOT": "/nowhere",
}
PROBE = """
import json, os, resource, signal
from pathlib import Path
mask = os.umask(0)
print(json.dumps({
    "signals": [name for name in ("SIGINT", "SIGQUIT", "SIGTERM")
                if signal.getsignal(getattr(signal, name)) is signal.SIG_IGN],
    "mask": mask,
    "files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    "home": sorted(path.name for path in Path.home().iterdir()),
    "variables": dict(os.environ),
}))
"""
TEST = """
import pathlib, subprocess, sys
def test_what_a_process_of_a_test_sees():
    said = subprocess.check_output([sys.executable, "-c", {probe!r}])
    pathlib.Path({out!r}).write_bytes(said)
"""


def test_nothing_comes_through_to_the_processes_of_tests(tmp_path: Path) -> None:
    home, out = tmp_path / "home", tmp_path / "seen.json"
    (home / ".config/pip").mkdir(parents=True)
    (home / ".config/pip/pip.conf").write_text("[global]\ntimeout = 33\n")
    (home / ".condarc").write_text("channels: [mine]\n")
    (tmp_path / "test_probe.py").write_text(TEST.format(probe=PROBE, out=str(out)))
    variables = {"PATH": os.environ["PATH"], "HOME": str(home), "https_proxy": "http://p:1", **ODD}
    where = ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path), str(tmp_path)]
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", *where]
    done = subprocess.run(
        ["sh", "-c", STARTED, "sh", *pytest],
        cwd=ROOT,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    seen = json.loads(out.read_text())
    assert seen["signals"] == []
    assert seen["mask"] == 0o022
    assert seen["files"] >= 1024
    assert seen["home"] == []
    through = {"PATH", "HOME", "https_proxy", "PIP_CONFIG_FILE", "XDG_CACHE_HOME"}
    set_here = {"TZ": "UTC", "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
    told = {k: v for k, v in seen["variables"].items() if not k.startswith("PYTEST_")}
    assert told.keys() == through | set_here.keys()
    assert set_here.items() <= told.items()
    assert told["PIP_CONFIG_FILE"] == str(home / ".config/pip/pip.conf")
    assert told["XDG_CACHE_HOME"] == str(home / ".cache")


def test_make_gives_its_programs_no_settings_of_python_or_pytest(tmp_path: Path) -> None:
    rules = tmp_path / "rules.mk"
    rules.write_text(f"include {ROOT / 'Makefile'}\nprobe:\n\t@env\n")
    odd = {"PYTHONOPTIMIZE": "2", "PYTEST_ADDOPTS": "--deselect tests", "PYTHONPATH": "/nowhere"}
    done = subprocess.run(
        ["make", "--no-print-directory", "-f", str(rules), "probe"],
        env={"PATH": os.environ["PATH"], **odd},
        capture_output=True,
        text=True,
        check=True,
    )
    assert [
        line for line in done.stdout.splitlines() if line.startswith(("PYTHON", "PYTEST"))
    ] == []


def test_the_files_that_begin_before_all_others_are_there():
    names = first()
    assert len(set(names)) == len(names) > 3
    assert [name for name in names if not (ROOT / name).is_file()] == []

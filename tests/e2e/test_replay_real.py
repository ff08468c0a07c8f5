"""update.yml and build.yml on a real torch: from an index that gains it to a channel that has it.

The release before is only locked, not built. The packages are built, installed from the forge and
run as ARM programs by the workflow's own commands.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from generator.console import Silent
from generator.project import Project
from generator.upstream.reaching import fetch_wheels
from tests import forge
from tests.index_server import IndexServer
from tests.own_feedstock import DECLARED
from tests.replaying import Replay

pytestmark = [pytest.mark.e2e, pytest.mark.emulated, pytest.mark.prove]

FEEDSTOCK = """\
channel: replayed
maintainers: [someone]
carry_armtorch: false
indexes:
  pypi: {{kind: pip}}
trains:
  stable: {{keep: [newest], indexes: [pypi]}}
subdirs:
  linux-aarch64: {{accelerators: [cpu], base: ["{base}"]}}
packages: [torch]
policies: {{compression_level: 1, published_level: 1}}
"""


def offer(folder: Path, line: str, abi: str) -> None:
    """Let the index have the real wheel of a line of the tests' own lock."""
    project = Project(feedstock=DECLARED, narrator=Silent())
    cell = next(c for c in project.known().cells if c.line == line and c.subdir == "linux-aarch64")
    wheel = next(w for w in cell.wheels if w.project == "torch" and f"-{abi}-{abi}-" in w.filename)
    fetch_wheels(project, project.declared(), (wheel,), jobs=1)
    folder.mkdir(exist_ok=True)
    (folder / wheel.filename).symlink_to(project.wheelhouse / wheel.sha256[:16] / wheel.filename)


def test_a_real_release_is_built_run_and_published_by_the_workflows(base, runner, tmp_path):
    assert runner.runs
    index = tmp_path / "index"
    offer(index, "legacy-2.8", "cp39")
    with IndexServer(index) as server:
        replay = Replay(
            tmp_path,
            {
                "PIP_INDEX_URL": server.url,
                "PIP_CONFIG_FILE": "/dev/null",
                "ARMTORCH_SYSROOT": str(forge.sysroot()),
                "ARMTORCH_VIRTUAL": f"__glibc={forge.glibc_version(forge.sysroot())}",
            },
        )
        replay.start(FEEDSTOCK.format(base=base.url))
        first = replay.job("update", "release")
        assert first.ok, first.said
        replay.merge()
        offer(index, "2.10", "cp311")
        started = time.monotonic()
        done = replay.job("update", "release")
        assert done.ok, done.said
        text = (tmp_path / "pull-request.md").read_text()
        assert text.startswith("Release torch 2.10.0 for linux-aarch64/cpu.")
        # what is merged is what was tried: the tiny replay does both, a real one once
        replay.merge()
        jobs = replay.build()
        took = time.monotonic() - started
    said = "\n".join(f"== {name}\n{each.said}" for name, each in jobs.items() if not each.ok)
    assert not said, said
    assert set(jobs) >= {"2.10-linux-aarch64-cpu-1", "publish"}, replay.summary()
    assert "emulated" in jobs["2.10-linux-aarch64-cpu-1"].said or runner.mode == "native"
    names = {path.name.rpartition("-")[0] for path in replay.channel.glob("*/*.conda")}
    assert {"libtorch-2.10.0", "pytorch-common-2.10.0", "pytorch-2.10.0"} <= names
    print(f"\nfrom the index's change to a real package: {took:.0f} s")

"""docs/armv7l.md's two lines in a root of Debian's for armhf that has python3-venv and no more.

What a program starts is emulated, too: the kernel runs ARM programs by qemu in a namespace with
binfmt_misc of its own (Linux 6.7), so that nothing of the machine's is changed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from generator.channel import LocalChannel
from generator.compiling.apt import Apt
from generator.compiling.running import run
from generator.project import Project
from generator.stages.base import BaseOptions, make_bases
from generator.stages.update import update_lock
from tests.conftest import missing
from tests.debian_base import ARM
from tests.forge.channel import default_cache
from tests.integration.test_debian_base import FEEDSTOCK, Said

pytestmark = [pytest.mark.integration, pytest.mark.emulated, pytest.mark.prove]

ENTER = r"""
set -e
formats=/proc/sys/fs/binfmt_misc
mount -t binfmt_misc none $formats
head='\x7fELF\x01\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x28\x00'
mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
printf '%s' ":qemu-arm:M::$head:$mask:$1:F" > $formats/register
root=$2; shift 2
for each in dev proc; do mount --rbind /$each $root/$each; done
exec chroot $root /usr/bin/env -i HOME=/root PATH=/usr/bin "$@"
"""
BOARD = """\
set -ex
cd /root
uname -m
python3 -m venv ~/client
~/client/bin/pip install --quiet py-rattler
~/client/bin/python /channel/install.py -c /channel -p ~/env python numpy
~/env/bin/python -c 'import numpy, sys; print(sys.prefix, numpy.linalg.inv(numpy.eye(2) * 4)[0, 0])'
"""


def _root(folder: Path, cache: Path) -> Path:
    apt = Apt(folder=cache / "board", architectures=("armhf",), suites=("trixie",))
    apt.update()
    for name in ("bin", "lib", "sbin"):
        (folder / "usr" / name).mkdir(parents=True)
        (folder / name).symlink_to(f"usr/{name}")
    asked = ("python3-venv", "bash", "coreutils", "ca-certificates", "base-files")
    for each in apt.fetch(apt.needed(asked), cache / "board-debs"):
        run(["dpkg-deb", "--extract", str(cache / "board-debs" / each.file), str(folder)])
    (folder / "tmp").mkdir(exist_ok=True)
    return folder


def _pip_settings(root: Path) -> list[str]:
    """What pip is told on this machine, for the pip in the root."""
    shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
    said = run([sys.executable, "-m", "pip", "config", "list"])
    rows = [line.partition("=")[::2] for line in said.splitlines() if "=" in line]
    found = {key.split(".")[-1].strip(":"): value.strip("'") for key, value in rows}
    if cert := found.get("cert"):
        (root / cert[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(cert, root / cert[1:])
    return [f"PIP_{key.upper().replace('-', '_')}={value}" for key, value in found.items()]


def test_two_lines_install_from_the_channel_on_an_empty_debian(tmp_path: Path) -> None:
    qemu = shutil.which("qemu-arm-static") or missing("there is no qemu-arm-static")
    apart = ["unshare", "--user", "--map-root-user", "--mount"]
    tried = [*apart, "mount", "-t", "binfmt_misc", "none", "/proc/sys/fs/binfmt_misc"]
    if subprocess.run(tried, check=False, capture_output=True).returncode != 0:
        missing("this kernel has no binfmt_misc for a namespace")
    (tmp_path / "feedstock.yaml").write_text(FEEDSTOCK)
    cache = default_cache().parent
    project = Project(feedstock=tmp_path / "feedstock.yaml", narrator=Said(), cache=cache)
    update_lock(project)
    if ARM not in project.locked().base:
        missing("Debian cannot be asked here: apt, its keys, or a mirror are not there")
    root = _root(tmp_path / "root", default_cache())
    make_bases(project, (), BaseOptions(channel=LocalChannel(root / "channel"), jobs=2, level=1))
    (root / "board.sh").write_text(BOARD)
    entered = [*apart, "bash", "-c", ENTER, "enter", qemu, str(root), *_pip_settings(root)]
    done = subprocess.run(
        [*entered, "/bin/bash", "/board.sh"],
        env={**os.environ, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    first, *_, last = done.stdout.splitlines()
    assert (first, last) == ("armv7l", "/root/env 0.25")

"""A root of Debian's for armhf, as a 32-bit board has it, whose programs run under qemu.

What a program starts is emulated, too: the kernel runs ARM programs by qemu in a namespace with
binfmt_misc of its own (Linux 6.7), so that nothing of the machine's is changed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from generator.compiling.apt import Apt
from generator.compiling.running import run
from tests.clients import folder as clients
from tests.conftest import missing
from tests.forge.channel import default_cache

_APART = ("unshare", "--user", "--map-root-user", "--mount")
_ENTER = r"""
set -e
formats=/proc/sys/fs/binfmt_misc
mount -t binfmt_misc none $formats
head='\x7fELF\x01\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x28\x00'
mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
printf '%s' ":qemu-arm:M::$head:$mask:$1:F" > $formats/register
root=$2; shift 2
for each in dev proc sys; do mount --rbind /$each $root/$each; done
exec chroot $root /usr/bin/env -i HOME=/root PATH=/usr/bin "$@"
"""
#: a Debian with Python, and nothing of ours
_SYSTEM = ("python3-venv", "bash", "coreutils", "ca-certificates", "base-files")
#: docs/armv7l.md: conda, on what Debian has of it; 26.7 wants backports.zstd on Python 3.13
CONDA_OF_DEBIAN = tuple(
    f"python3-{name}" for name in ("zstandard", "pycosat", "msgpack", "ruamel.yaml")
)
_CHECKOUTS = {"conda": "26.5.3", "menuinst": "2.5.2"}
CONDA = """\
cd /root
python3 -m venv --system-site-packages ~/client
~/client/bin/pip install --quiet conda-rattler-solver==0.2.0 'conda-package-streaming<0.13' \
  conda-package-handling archspec boltons distro frozendict platformdirs 'pluggy>=1.6' requests \
  tqdm truststore /wheels/menuinst-*.whl
~/client/bin/pip install --quiet --no-deps /wheels/conda-*.whl
export CONDA_SOLVER=rattler CONDA_REPODATA_USE_SHARDS=false
~/client/bin/python -m conda info
only="--yes --quiet --override-channels -c file:///channel -p /root/env"
"""


def board(folder: Path, *packages: str) -> Path:
    """Lay out the root; skips the test where such a root cannot be entered."""
    if shutil.which("qemu-arm-static") is None:
        missing("there is no qemu-arm-static")
    tried = [*_APART, "mount", "-t", "binfmt_misc", "none", "/proc/sys/fs/binfmt_misc"]
    if subprocess.run(tried, check=False, capture_output=True).returncode != 0:
        missing("this kernel has no binfmt_misc for a namespace")
    cache = default_cache()
    apt = Apt(folder=cache / "board", architectures=("armhf",), suites=("trixie",))
    apt.update()
    for name in ("bin", "lib", "sbin"):
        (folder / "usr" / name).mkdir(parents=True)
        (folder / name).symlink_to(f"usr/{name}")
    for each in apt.fetch(apt.needed((*_SYSTEM, *packages)), cache / "board-debs"):
        run(["dpkg-deb", "--extract", str(cache / "board-debs" / each.file), str(folder)])
    for name in ("tmp", "wheels"):
        (folder / name).mkdir(exist_ok=True)
    return folder


def conda_wheels(root: Path, work: Path) -> None:
    """Put conda and menuinst into the root, made from their checkouts at the versions that run."""
    for name, version in _CHECKOUTS.items():
        archived = work / f"{name}.tar"
        command = ["git", "-C", str(clients() / name), "archive", f"--output={archived}", version]
        if subprocess.run([*command, "--", ".", ":!tests"], check=False).returncode != 0:
            missing(f"the checkout of {name} has no {version}")
        with tarfile.open(archived) as archive:
            archive.extractall(work / name, filter="data")
        subprocess.run(
            [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", str(work / name)],
            cwd=root / "wheels",
            env={**os.environ, f"SETUPTOOLS_SCM_PRETEND_VERSION_FOR_{name.upper()}": version},
            check=True,
        )


def on_board(root: Path, script: str) -> str:
    """Run a script in the root, and return what it says; its failure is the test's."""
    (root / "board.sh").write_text(f"set -ex\n{script}")
    qemu = str(shutil.which("qemu-arm-static"))
    entered = [*_APART, "bash", "-c", _ENTER, "enter", qemu, str(root), *_pip_settings(root)]
    done = subprocess.run(
        [*entered, "/bin/bash", "/board.sh"],
        env={**os.environ, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


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

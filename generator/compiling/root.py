"""The root that is compiled in: Debian's packages, unpacked, and a way to run programs in it.

No script of a package runs, so nothing is configured and no alternative is chosen. Programs run in
a mount namespace of their own (mount_namespaces(7)) with the tree at ``/armtorch`` and the cache at
``/ccache``: what they write into binaries is the same wherever the folders lie, the machine is left
as it was, and nothing stays mounted. They have no network: what is compiled was fetched before. It
takes root, or a kernel that gives users namespaces of their own.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from filelock import FileLock

from generator.atomic import write_text
from generator.compiling.apt import Apt, Listed
from generator.compiling.running import run
from generator.compiling.toolchain import Toolchain
from generator.console import Narrator
from generator.documents import load_json, read_bytes
from generator.errors import ArmtorchError, MissingToolError
from generator.feedstock import Source

_STAMP_BYTES: Final = 1 << 20
_MERGED: Final = ("bin", "lib", "sbin")
_ENTER: Final = """\
set -e
mount --rbind /dev "$1/dev"
mount --rbind /proc "$1/proc"
mount --bind "$2" "$1/armtorch"
mount --bind "$3" "$1/ccache"
root=$1; shift 3
exec chroot "$root" /usr/bin/env -i "$@"
"""


@dataclass(frozen=True, kw_only=True)
class Root:
    """An unpacked root."""

    folder: Path
    #: of its packages, sorted
    packages: tuple[Listed, ...]
    #: of the compiler's packages alone: what ccache gives back is of that compiler
    compiler: str

    def command(
        self, argv: Sequence[str], *, tree: Path, cache: Path, environment: Mapping[str, str]
    ) -> list[str]:
        """Return the command line that runs ``argv`` in the root, and no longer than this one."""
        variables = {
            "PATH": "/usr/bin",
            "HOME": "/tmp",  # noqa: S108 - the root's own
            "LC_ALL": "C.UTF-8",
            "CCACHE_DIR": "/ccache",
            "CCACHE_COMPILERCHECK": f"string:{self.compiler}",
            # what gcc says of headers serves, instead of a run of its preprocessor for each unit
            "CCACHE_DEPEND": "1",
            "CCACHE_MAXSIZE": "20G",
            **environment,
        }
        return [
            *_apart(),
            *("/bin/sh", "-c", _ENTER, "sh", str(self.folder), str(tree), str(cache)),
            *(f"{name}={value}" for name, value in variables.items()),
            *argv,
        ]


def make_root(
    work: Path, toolchain: Toolchain, sources: Iterable[Source], narrator: Narrator
) -> Root:
    """Unpack the root for these rows, unless it is there.

    Raises ArmtorchError: apt or dpkg-deb is missing, or Debian's packages are not to be had.
    """
    rows = tuple(sources)
    needs = {f"{name}:{toolchain.architecture}" for row in rows for name in row.needs}
    asked = sorted({*toolchain.tools, *(name for row in rows for name in row.tools)} | needs)
    aside = sorted({f"{name}:{toolchain.architecture}" for row in rows for name in row.aside})
    key = hashlib.sha256("\n".join([toolchain.suite, *asked, "", *aside]).encode()).hexdigest()
    folder = work / "roots" / key[:16]
    stamp = folder.with_suffix(".json")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / "lock"):  # roots may be shared by several working folders
        if not stamp.is_file():
            shutil.rmtree(folder, ignore_errors=True)
            packages = _unpack(work, folder, toolchain, asked, aside, narrator)
            rows_of = [[each.file, each.size, each.sha256] for each in packages]
            write_text(stamp, json.dumps(rows_of, indent=1) + "\n")
    raw: Any = load_json(read_bytes(stamp, _STAMP_BYTES), str(stamp))
    packages = tuple(Listed(*row) for row in raw)
    return Root(folder=folder, packages=packages, compiler=_compiler(packages, toolchain))


def private_apt(work: Path, toolchain: Toolchain) -> Apt:
    """Return the apt root of a working folder, its lists brought up to date."""
    native = run(["dpkg", "--print-architecture"]).strip()
    apt = Apt(
        folder=work / "apt",
        architectures=(native, toolchain.architecture),
        suites=(toolchain.suite,),
        sources=True,
    )
    apt.update()
    return apt


def check_namespaces() -> None:
    """Raise MissingToolError where a mount namespace cannot be had."""
    try:
        run([*_apart(), "mount", "--version"])
    except ArmtorchError as error:
        raise MissingToolError(
            f"no mount namespace can be had: {error.what}",
            where="armtorch compile",
            next_step="run it as root, or on a kernel that lets users make namespaces",
        ) from error


def _apart() -> list[str]:
    """Return the words that give a program namespaces of its own, and end it with this process."""
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["setpriv", "--pdeathsig", "TERM", "unshare", *user, "--mount", "--net"]


def _unpack(
    work: Path,
    folder: Path,
    toolchain: Toolchain,
    asked: list[str],
    aside: list[str],
    narrator: Narrator,
) -> tuple[Listed, ...]:
    apt, debs = private_apt(work, toolchain), work / "debs"
    narrator.say(f"fetch Debian {toolchain.suite}'s packages for the root")
    main = apt.fetch(apt.needed(asked), debs)
    beside = apt.fetch(aside, debs) if aside else ()
    # links first: packages of a merged /usr bring them in no certain order
    for name in _MERGED:
        (folder / "usr" / name).mkdir(parents=True)
        (folder / name).symlink_to(f"usr/{name}")
    for name in ("armtorch", "ccache", "target"):
        (folder / name).mkdir()
    with narrator.task("unpack", total=len(main) + len(beside)) as task:
        for place, packages in ((folder, main), (folder / "target", beside)):
            for each in packages:
                run(["dpkg-deb", "--extract", str(debs / each.file), str(place)])
                task.advance(1)
    return tuple(sorted({*main, *beside}, key=lambda each: each.file))


def _compiler(packages: Iterable[Listed], toolchain: Toolchain) -> str:
    digests = sorted(
        each.sha256
        for each in packages
        if any(fnmatch.fnmatch(each.name, glob) for glob in toolchain.compiler)
    )
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()[:16]

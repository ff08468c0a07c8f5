"""What a machine is, from its files: board, JetPack, userland, conda; and from rattler's detection.

Everything is read below a root folder, so that another system's disk can be looked at, and tests
can give trees of files.
"""

from __future__ import annotations

import platform
import re
import struct
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from generator.datafiles import subdirs
from generator.documents import limits, load_json, read_bytes
from generator.errors import MalformedError, SelectionError
from generator.explaining.facts import JetPack, common_virtual_packages, facts, jetpacks
from generator.rattler_names import RattlerSubdir
from generator.testing import Machine

_L4T: Final = re.compile(r"#\s*R(?P<major>\d+)\s*\(release\),\s*REVISION:\s*(?P<minor>[\d.]+)")
#: ELF e_machine and class (ELF specification, and its ARM supplement) to conda's subdirs
_ELF: Final = {(183, 2): "linux-aarch64", (40, 1): "linux-armv7l", (62, 2): "linux-64"}
#: the subdir of every Jetson
JETSON: Final = "linux-aarch64"
_GLIBC: Final = re.compile(rb"GNU C Library [^\n]*?release version (\d+\.\d+)")
_LIBC: Final = ("lib/*/libc.so.6", "lib64/libc.so.6", "usr/lib/*/libc.so.6", "lib/libc.so.6")


@dataclass(frozen=True, kw_only=True)
class Computer:
    """One machine: its hardware, its userland, its conda, and what packages may ask of it."""

    #: subdir that the hardware could run
    hardware: str
    #: subdir of its programs: 32-bit on a 64-bit kernel, for example
    userland: str
    #: subdir of the conda that is installed; "" without one
    conda: str
    #: ``defaults`` or ``conda-forge``: where that conda is from, and what it asks on its own
    conda_from: str = ""
    virtual_packages: tuple[str, ...]
    #: /proc/device-tree/model
    board: str = ""
    #: /etc/nv_tegra_release, ``36.4.3``
    l4t: str = ""
    jetpack: str = ""
    #: whether its C library is musl (Alpine), which no conda package is made for
    musl: bool = False
    #: ARMv8.1's atomic instructions; None where that is unknown
    lse: bool | None = None
    #: the folder of LD_LIBRARY_PATH that has another installation's libtorch; "" for none
    shadowed: str = ""

    @property
    def subdir(self) -> str:
        """What packages are installed for."""
        return self.conda or self.userland

    def machine(self, *, subdir: str | None = None, added: tuple[str, ...] = ()) -> Machine:
        """Return what is solved for; for another subdir a common machine of that kind."""
        wanted = subdir or self.subdir
        same_system = wanted.split("-")[0] == self.subdir.split("-")[0]
        own = wanted == self.subdir or (same_system and wanted == self.hardware)
        base = self.virtual_packages if own else common_virtual_packages(wanted)
        return Machine(subdir=wanted, virtual_packages=replaced(base, added))


@dataclass(frozen=True, kw_only=True)
class System:
    """What only a running system tells: uname, and detection of the driver and macOS."""

    kernel: str
    processor: str
    #: of the process, ``linux-64``
    subdir: str
    virtual_packages: tuple[str, ...]

    @classmethod
    def running(cls, environment: Mapping[str, str]) -> System:
        """Return this system's."""
        current = str(RattlerSubdir.current())
        row = subdirs().get(current)
        native = Machine.of(row or next(iter(subdirs().values())), native=True)
        return cls(
            kernel=platform.system(),
            processor=_processor(environment),
            subdir=current,
            virtual_packages=with_overrides(native.virtual_packages, environment),
        )


def jetpack_of(computer: Computer) -> JetPack | None:
    """Return the row of jetson.yaml for a Jetson; None for what is none."""
    return next((r for r in jetpacks() if computer.jetpack and r.jetpack == computer.jetpack), None)


def jetson(row: JetPack) -> Computer:
    """Return a Jetson with a JetPack, as far as that tells."""
    cuda, glibc = f"__cuda={row.cuda}", f"__glibc={row.glibc}"
    return Computer(
        hardware=JETSON,
        userland=JETSON,
        conda="",
        virtual_packages=(cuda, glibc, "__unix=0", "__linux=5.10"),
        board="Jetson",
        l4t=row.l4t,
        jetpack=row.jetpack,
    )


def is_tegra(computer: Computer) -> bool:
    """Whether it is a Jetson that runs builds for Jetson alone: JetPack 6 and before."""
    row = jetpack_of(computer)
    return row is not None and not row.sbsa


def overrides(variables: Mapping[str, str]) -> tuple[str, ...]:
    """Return the virtual packages that CONDA_OVERRIDE_* set, ``__cuda=13.0``; without, ``__cuda=``.

    Source: conda docs, "Managing virtual packages"; ``__archspec`` has its name as the build.
    """
    found = []
    for variable, value in variables.items():
        before, separator, name = variable.partition("CONDA_OVERRIDE_")
        if separator and not before:
            version = f"1={value}" if name == "ARCHSPEC" and value else value
            found.append(f"__{name.lower()}={version}")
    return tuple(found)


def with_overrides(packages: tuple[str, ...], variables: Mapping[str, str]) -> tuple[str, ...]:
    """Return virtual packages as clients see them with these variables."""
    return replaced(packages, overrides(variables))


def replaced(packages: Iterable[str], added: Iterable[str]) -> tuple[str, ...]:
    """Return virtual packages with others of their names; ``__cuda=`` takes one away."""
    by_name = {text.partition("=")[0]: text for text in (*packages, *added)}
    return tuple(text for text in by_name.values() if text.partition("=")[2] or "=" not in text)


def virtual_of(packages: Iterable[str], name: str) -> str:
    """Return a virtual package's version, and its build where that says more; "" for none."""
    for text in packages:
        found, _, rest = text.partition("=")
        if found == name:
            version, _, build = rest.partition("=")
            return f"{version} {build}" if build not in {"", "0"} else version
    return ""


def look(root: Path, environment: Mapping[str, str], system: System | None) -> Computer:
    """Find out what the machine is whose files are below ``root``.

    ``system`` is None for a disk of another machine: what its files do not tell is then taken
    from a common machine of its kind.

    Raises SelectionError: there is no system below ``root``.
    """
    userland = _userland(root) or (system.subdir if system else "")
    if not userland:
        raise SelectionError(
            "no system's programs are below this folder (bin/sh, usr/bin/env), or they are for a "
            "machine that conda does not know",
            where=str(root),
            next_step="name the folder where its root file system is mounted",
        )
    hardware = userland
    if system is not None:
        hardware = facts().hardware.get(f"{system.kernel} {system.processor}", userland)
    release = _L4T.search(_text(root / "etc/nv_tegra_release"))
    l4t = f"{release['major']}.{release['minor']}" if release else ""
    # /proc is the running system's, as root is
    board = _text(root / "proc/device-tree/model").strip("\0 \n")
    detected = system.virtual_packages if system else common_virtual_packages(userland)
    found = {text.partition("=")[0]: text for text in detected}
    glibc = _glibc(root)
    musl = not glibc and any(root.glob("lib/ld-musl-*.so.1"))
    if system is None and glibc:
        found["__glibc"] = f"__glibc={glibc}"
    if system is None and musl:
        found.pop("__glibc", None)
    conda, conda_from = _conda(root, environment)
    row = next((r for r in jetpacks() if l4t == r.l4t or l4t.startswith(f"{r.l4t}.")), None)
    if row is not None and "__cuda" not in found:
        found["__cuda"] = f"__cuda={row.cuda}"  # its driver is part of JetPack
    return Computer(
        hardware=hardware,
        userland=userland,
        conda=conda,
        conda_from=conda_from,
        musl=musl,
        virtual_packages=tuple(found.values()),
        board=board,
        l4t=l4t,
        jetpack=row.jetpack if row else "",
        lse=_lse(root),
        shadowed=_shadowing(environment) if system is not None else "",
    )


def _shadowing(environment: Mapping[str, str]) -> str:
    """Return the folder of LD_LIBRARY_PATH whose libtorch is loaded before the environment's own.

    Upstream's libraries have a RUNPATH, which the loader looks at after that (ld.so(8)).
    """
    own = environment.get("CONDA_PREFIX", "")
    for folder in environment.get("LD_LIBRARY_PATH", "").split(":"):
        others = folder and not (own and Path(folder).is_relative_to(own))
        if others and (Path(folder) / "libc10.so").exists():
            return folder
    return ""


def _processor(environment: Mapping[str, str]) -> str:
    """Return the CPU's own name, also where the process is for another one and is translated.

    Rosetta: ``sysctl.proc_translated`` (Apple, "About the Rosetta translation environment").
    Windows: an emulated process still sees the real CPU in PROCESSOR_IDENTIFIER.
    """
    name = platform.machine()
    if platform.system() == "Darwin" and name == "x86_64":
        asked = subprocess.run(
            ["/usr/sbin/sysctl", "-n", "sysctl.proc_translated"],
            capture_output=True,
            text=True,
            check=False,
        )
        return "arm64" if asked.stdout.strip() == "1" else name
    if environment.get("PROCESSOR_IDENTIFIER", "").startswith("ARMv8"):
        return "ARM64"
    return name


def _userland(root: Path) -> str:
    """Return the subdir of the system's own programs, by the ELF header of its shell."""
    for name in ("bin/sh", "usr/bin/sh", "bin/busybox", "usr/bin/env"):
        try:
            with (root / name).open("rb") as file:
                head = file.read(20)
        except OSError:
            continue
        if len(head) == 20 and head[:4] == b"\x7fELF":
            (machine,) = struct.unpack_from("<H", head, 18)
            return _ELF.get((machine, head[4]), "")
    return ""


def _lse(root: Path) -> bool | None:
    """Whether /proc/cpuinfo lists ``atomics`` (Linux' arm64 hwcaps); None without a list."""
    features = re.search(r"(?m)^Features\s*:\s*(.*)$", _text(root / "proc/cpuinfo"))
    return "atomics" in features[1].split() if features else None


def _glibc(root: Path) -> str:
    for pattern in _LIBC:
        for path in sorted(root.glob(pattern)):
            try:
                match = _GLIBC.search(path.read_bytes())
            except OSError:
                continue
            if match:
                return match[1].decode()
    return ""


def _conda(root: Path, environment: Mapping[str, str]) -> tuple[str, str]:
    """Return the subdir of conda's own Python and the channel that conda itself is from.

    Both are in the records of its base environment. A conda that is from Anaconda's own channels
    asks ``defaults`` where no configuration says otherwise; Miniforge's is from conda-forge.
    """
    folders = []
    if executable := environment.get("CONDA_EXE") or environment.get("MAMBA_EXE"):
        folders.append(Path(executable).parents[1])
    folders += [Path(environment[k]) for k in ("CONDA_ROOT", "CONDA_PREFIX") if environment.get(k)]
    subdir = channel = ""
    for folder in folders:
        below = root / str(folder).lstrip("/\\") if root != Path("/") else folder
        meta = below / "conda-meta"
        for path in sorted(meta.glob("conda-[0-9]*.json")) + sorted(
            meta.glob("python-[0-9]*.json")
        ):
            try:
                record = load_json(read_bytes(path, limits().json.bytes), str(path))
            except (OSError, MalformedError):
                continue
            if isinstance(record, dict):
                if path.name.startswith("python"):
                    subdir = subdir or str(record.get("subdir") or "")
                channel = channel or str(record.get("channel") or "")
    known = "defaults" if re.search(r"pkgs/|^defaults", channel) else "conda-forge"
    return subdir, known if channel else ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""

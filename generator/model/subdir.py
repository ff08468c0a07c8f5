"""conda's platform directories, as far as armtorch serves them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

OsName = Literal["linux", "osx", "win"]


@dataclass(frozen=True, kw_only=True)
class Subdir:
    """One conda subdir with the facts that packages for it depend on.

    The rows are in ``generator/data/subdirs.yaml``.
    """

    #: conda's name, ``linux-aarch64``
    name: str
    os: OsName
    #: platform tags (PEP 425) of wheels for it, as regular expressions over the whole tag
    wheel_platforms: tuple[str, ...]
    #: PEP 508 environment of the target, without the keys that depend on the Python version
    markers: dict[str, str]
    #: the machine field of its binaries: ELF e_machine, Mach-O CPU or PE machine name
    binary_machine: str
    #: qemu-user's name of the architecture; None where it cannot be emulated
    emulator_arch: str | None
    #: virtual packages (CEP 30) of a common machine of that kind, for solves on another machine
    virtual_packages: tuple[str, ...]
    #: Linux only: loader path that marks a C library, used to find a sysroot
    loader: str | None = None
    #: what is to be known of PyTorch's wheels for it: why there may be no cell
    note: str = ""

    def __str__(self) -> str:
        return self.name

    @property
    def smithy_name(self) -> str:
        """conda-smithy's spelling: ``linux_aarch64``."""
        return self.name.replace("-", "_")

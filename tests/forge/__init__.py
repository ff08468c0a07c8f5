"""The forge: an offline base channel for tests, in the place of conda-forge.

It holds real, runnable linux-aarch64 packages under conda-forge's names and version rules, made
from Debian's arm64 packages and PyPI's wheels, and a sysroot to run them in under emulation.
"""

from tests.forge.channel import ForgeChannel, default_cache, ensure, ensure_with_cuda
from tests.forge.compiled import ensure_compiled
from tests.forge.errors import ForgeError
from tests.forge.machine import glibc_version, sysroot

__all__ = [
    "ForgeChannel",
    "ForgeError",
    "default_cache",
    "ensure",
    "ensure_compiled",
    "ensure_with_cuda",
    "glibc_version",
    "sysroot",
]

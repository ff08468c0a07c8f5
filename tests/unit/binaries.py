"""The writers of ELF and Mach-O files, under the name that the tests of the audit know."""

from tests.synthetic_wheels.elf import AARCH64, X86_64, elf
from tests.synthetic_wheels.macho import fat, macho, macho_x86_64
from tests.synthetic_wheels.pe import pe

__all__ = ["AARCH64", "X86_64", "elf", "fat", "macho", "macho_x86_64", "pe"]

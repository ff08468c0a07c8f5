"""One copy of each library in a process that uses numpy, Pillow and the trio (emulated)."""

from __future__ import annotations

from pathlib import Path

import pytest
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile

from tests.e2e.conftest import PROGRAMS
from tests.mapped import copies, parse

pytestmark = [pytest.mark.e2e, pytest.mark.emulated]

ORDERS = {
    "numpy first": "numpy,PIL.Image,torch,torchvision,torchaudio",
    "torch first": "torch,torchvision,torchaudio,PIL.Image,numpy",
}


def soname(path: Path) -> str:
    with path.open("rb") as file:
        for section in ELFFile(file).iter_sections():
            if isinstance(section, DynamicSection):
                for tag in section.iter_tags("DT_SONAME"):
                    return str(vars(tag)["soname"])
    return path.name


@pytest.mark.parametrize(
    "order", ["numpy first", pytest.param("torch first", marks=pytest.mark.prove)]
)
def test_one_process_has_one_copy_of_each_library(developer, python, tmp_path, order):
    prefix = developer.prefix.resolve()
    smoke = sorted((prefix / "etc/conda/test-files").glob("*/*/smoke.py"))
    assert len(smoke) == 3
    files = parse(python(PROGRAMS / "one_process.py", ORDERS[order], *smoke, cwd=tmp_path))

    # qemu translates /proc/self/maps: the names and inodes are this machine's
    for file in files:
        assert file.path.stat().st_ino == file.inode, file
    found = copies(files)
    blas = found.pop("OpenBLAS")
    assert {family: len(paths) for family, paths in found.items() if len(paths) != 1} == {
        # torch's kept OpenBLAS uses the environment's, numpy's wheel brings its own
        "Fortran runtime": 2
    }
    for family in ("OpenMP runtime", "libjpeg", "libpng", "libz", "libwebp", "C++ runtime"):
        (path,) = found[family]
        assert path.parent == prefix / "lib", path
    # two, each under its own SONAME: torch's has sbgemm_, numpy's is the one of the forge's numpy
    torchs, numpys = sorted(blas, key=lambda path: path.parent != prefix / "lib")
    assert (torchs.name, soname(torchs)) == ("libopenblas-24fd393f.so.0", "libopenblas.so.0")
    assert numpys.parent.name == "numpy.libs"
    assert soname(numpys).startswith("libscipy_openblas64_")

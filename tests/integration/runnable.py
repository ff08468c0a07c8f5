"""What makes the synthetic wheels for linux-aarch64 run: modules that can be imported, and a base.

Their libraries have no code, but the loader takes them: what is proved is that everything an import
asks for, CUDA's libraries included, is found where the packages and their dependencies put it.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

from packaging.specifiers import SpecifierSet

from generator.naming import sonames
from generator.rendering import templates
from generator.testing import NamedRecord
from tests.conftest import ARM
from tests.forge.archive import Package
from tests.forge.channel import ForgeChannel, write_channel
from tests.synthetic_wheels import TinyWheel
from tests.synthetic_wheels.elf import elf

#: of the Pythons that the forge has, the one that upstream's indexes have, too
PYTHON: Final = "cp313"
#: PyModuleDef's layout is part of the stable ABI (PEP 384)
_EXTENSION: Final = """\
struct { long references; void *type, *init; long index; void *copy; const char *name, *doc;
  long size; void *methods, *slots, *traverse, *clear, *free; } module = {1, .name = "torch._C",
  .size = -1};
extern void *PyModule_Create2(void *, int);
void *PyInit__C(void) { return PyModule_Create2(&module, 1013); }
"""
_MODULES: Final = {
    "torch": {
        "torch/__init__.py": b"from torch._C import *\nfrom torch.version import __version__\n"
        b"from torch import backends\n",
        "torch/backends/__init__.py": b"from torch.backends import cuda\n",
        "torch/backends/cuda.py": b"from torch.version import cuda\n\n\n"
        b"def is_built():\n    return cuda is not None\n",
        "torch/distributed/__init__.py": b"",
        "torch/distributed/run.py": b"def main():\n    print('usage: torchrun')\n",
        "torch/utils/cpp_extension.py": b"import os\nTORCH_LIB_PATH = os.path.dirname(__file__)\n",
    },
    "torchvision": {
        f"torchvision/{name}/__init__.py": b"" for name in ("io", "models", "transforms",
                                                            "transforms/v2")
    },
    "torchaudio": {
        f"torchaudio/{name}/__init__.py": b"" for name in ("functional", "transforms")
    },
}  # fmt: skip
#: what METADATA asks for and no library of is wanted, by conda's name
_PROJECTS: Final = {
    "triton": "triton",
    "cuda-bindings": "cuda-bindings",
    "libfrob-python": "frobnicate",
}
#: prints which of torch's libraries the process has, and that CUDA's are the environment's
_SMOKE: Final = """\
import os
import torch

with open("/proc/self/maps") as maps:
    paths = {line.split(maxsplit=5)[5].strip() for line in maps if "/" in line}
names = {os.path.basename(path): path for path in map(os.path.realpath, paths)}
wanted = ["libtorch_python.so", "libtorch.so", "libtorch_cpu.so", "libc10.so", "libgomp.so.1"]
if torch.version.cuda:
    major = torch.version.cuda.split(".")[0]
    wanted += ["libtorch_cuda.so", "libcudnn.so.9"]
    wanted += [f"{name}.so.{major}" for name in ("libcudart", "libcublas")]
lacking = [name for name in wanted if not any(each.startswith(name) for each in names)]
assert not lacking, (lacking, sorted(names))
library = os.path.join(os.environ["CONDA_PREFIX"], "lib")
own = ("libcu", "libnv", "libtorch_c")
strangers = [path for path in names.values()
             if os.path.basename(path).startswith(own) and os.path.dirname(path) != library]
assert not strangers, strangers
print(torch.__version__, torch.version.cuda)
"""


def extension(gcc: Path, folder: Path) -> bytes:
    """Compile a ``torch._C`` that needs libtorch_python.so, as upstream's does."""
    source, stub, made = (folder / name for name in ("c.c", "libtorch_python.so", "_C.so"))
    source.write_text(_EXTENSION)
    shared: list[str | Path] = [gcc, "-shared", "-fPIC", "-nostdlib"]
    subprocess.run([*shared, "-Wl,-soname,libtorch_python.so", "-xc", "/dev/null", "-o", stub],
                   check=True)  # fmt: skip
    paths = ["-Wl,--no-as-needed,-rpath,$ORIGIN:$ORIGIN/lib", "-Wl,--enable-new-dtags"]
    subprocess.run([*shared, *paths, source, stub, "-o", made], check=True)
    return made.read_bytes()


def runnable(wheel: TinyWheel, module: bytes) -> TinyWheel:
    """Give a wheel for linux-aarch64 the modules that its package's tests import."""
    if not wheel.tag.endswith("aarch64"):
        return wheel
    more = dict(_MODULES[wheel.project])
    name = f"torch/_C.cpython-{PYTHON.removeprefix('cp')}-aarch64-linux-gnu.so"
    if module and name in wheel.members:
        more[name] = module
    return replace(wheel, members={**wheel.members, **more})


def templates_with_own_tests(folder: Path) -> Path:
    """Copy the templates; the test that a package carries is one that wheels without code pass."""
    shutil.copytree(templates.folder(), folder)
    for path in (folder / "tests").glob("*.py"):
        path.write_text(_SMOKE)
    return folder


def write_libraries(folder: Path, records: Iterable[NamedRecord], forge: ForgeChannel) -> str:
    """Write a channel of what records for linux-aarch64 ask for and the forge lacks.

    A package is of the least version that is asked for, with a library for each row of
    sonames.yaml that names this version; none has code.
    """
    rows = [record for _, record in records]
    known = {row["name"] for row in rows} | _names(forge)
    specs = {
        spec
        for row in rows
        if row["subdir"] in {ARM, "noarch"}
        for spec in row["depends"]
        if not spec.startswith("__") and spec.split()[0] not in known
    }
    packages = [_package(spec, folder / f"tree-{n}") for n, spec in enumerate(sorted(specs))]
    by_name = {package.file_name: package for package in packages}
    channel = folder / "channel"
    channel.mkdir()
    write_channel(by_name.values(), channel, jobs=1)
    return channel.as_uri()


def _names(forge: ForgeChannel) -> set[str]:
    return {path.name.rsplit("-", 2)[0] for path in forge.path.glob("*/*.conda")}


def _package(spec: str, tree: Path) -> Package:
    name, _, rest = spec.partition(" ")
    bounds, _, build = rest.partition(" ")
    version = bounds.lstrip(">=").split(",")[0].strip("*") or "1.2.0"
    for row in sonames(ARM).libraries.values():
        known, _, said = (row.spec or "").partition(" ")
        if known == name and SpecifierSet(said).contains(version):
            path = tree / row.target
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(elf(soname=row.name, defines=[f"at_{name}"]))
    project = None if tree.exists() else _PROJECTS.get(name)
    if project:
        info = tree / f"site-packages/{project.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        text = f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n"
        (info / "METADATA").write_text(text)
    return Package(
        name=name,
        version=version,
        build=build.strip("*") or "0",
        number=0,
        subdir="noarch" if project else ARM,
        depends=("python",) if project else (),
        constrains=(),
        tree=tree if tree.exists() else None,
        noarch="python" if project else None,
    )

"""What torch looks for at run time, and torch.compile with a compiler: CXX names it."""

import os
import sys
from pathlib import Path

import torch
from torch._inductor.cpp_builder import CppTorchOptions
from torch._inductor.cpu_vec_isa import pick_vec_isa
from torch.utils import cmake_prefix_path, cpp_extension

PREFIX = Path(sys.prefix)
TORCH = Path(torch.__file__).parent


def check_global_deps() -> None:
    """torch opened libtorch_global_deps.so itself, before anything else of its own."""
    with open("/proc/self/maps") as maps:
        assert "libtorch_global_deps.so" in maps.read()


def check_files() -> None:
    """Programs, CMake's files and the headers of the other projects that torch is built with."""
    assert os.access(TORCH / "bin/torch_shm_manager", os.X_OK)
    assert (Path(cmake_prefix_path) / "Torch/TorchConfig.cmake").is_file()
    includes = [Path(folder) for folder in cpp_extension.include_paths()]
    headers = ("ATen/ATen.h", "torch/extension.h", "torch/all.h", "pybind11/pybind11.h", "sleef.h",
               "dnnl.hpp", "torch/csrc/inductor/aoti_torch/c/shim.h")  # fmt: skip
    for header in headers:
        assert any((folder / header).is_file() for folder in includes), header
    for name in ("ATen", "c10", "torch"):
        assert (TORCH / "include" / name / ".").is_dir()
        assert (PREFIX / "include" / name).is_dir()
    (folder,) = cpp_extension.library_paths()
    for name in ("torch", "torch_cpu", "torch_python", "c10"):
        assert (Path(folder) / f"lib{name}.so").is_file(), name


def check_inductor_paths() -> None:
    """Every folder the compiler is given exists, and every library of torch is in one."""
    options = CppTorchOptions(vec_isa=pick_vec_isa())
    for folder in (*options.get_include_dirs(), *options.get_libraries_dirs()):
        assert Path(folder).is_dir(), folder
    for name in options.get_libraries():
        found = [Path(f, f"lib{name}.so") for f in options.get_libraries_dirs()]
        # libgomp.so, without a number, comes with a compiler
        assert name == "gomp" or any(path.is_file() for path in found), name
    assert options.get_libraries().count("gomp") == 1


def check_compile() -> None:
    """torch.compile writes C++, compiles it with OpenMP and runs it."""
    torch.manual_seed(0)
    compiled = torch.compile(lambda a, b: (torch.sin(a) * b + 1).sum(dim=1), fullgraph=True)
    left, right = torch.randn(2, 33, 65)
    torch.testing.assert_close(compiled(left, right), (torch.sin(left) * right + 1).sum(dim=1))


if __name__ == "__main__":
    check_global_deps()
    check_files()
    check_inductor_paths()
    check_compile()
    print("torch finds its files")

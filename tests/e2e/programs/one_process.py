"""Everything in one process: imports in the order asked for, algebra, every smoke program.

Arguments: the modules to import, separated by commas, and the smoke programs. Prints, as JSON in
the last line, the files that /proc/self/maps names then.
"""

import ctypes
import importlib
import runpy
import sys
from pathlib import Path

OPENBLAS = f"{sys.prefix}/lib/libopenblas.so.0"
ORDER, PROGRAMS = sys.argv[1].split(","), sys.argv[2:]
for module in ORDER:
    importlib.import_module(module)

import numpy as np  # noqa: E402
import torch  # noqa: E402
from mapped_files import mapped  # noqa: E402
from PIL import Image, features  # noqa: E402


def check_algebra() -> None:
    """numpy and torch, each with a BLAS of its own, agree; in turns, so that both are at work."""
    rng = np.random.default_rng(0)
    for dtype, tolerance in ((np.float64, 1e-12), (np.float32, 1e-4)):
        for size in (8, 96, 200):
            left, right = rng.standard_normal((2, size, size)).astype(dtype)
            ours = torch.from_numpy(left) @ torch.from_numpy(right)
            np.testing.assert_allclose(ours.numpy(), left @ right, rtol=0, atol=tolerance * size)
            values = torch.linalg.svd(torch.from_numpy(left)).S
            np.testing.assert_allclose(
                values.numpy(), np.linalg.svd(left)[1], rtol=0, atol=tolerance * size
            )
            solved = torch.linalg.solve(torch.from_numpy(left), torch.from_numpy(right))
            np.testing.assert_allclose(
                left @ solved.numpy(), right, rtol=0, atol=tolerance * size * 50
            )
    # small integers: exact in bfloat16, so that the result of sbgemm_ has to be exact too
    left, right = rng.integers(-3, 4, (2, 64, 64)).astype(np.float32)
    ours = torch.from_numpy(left).bfloat16() @ torch.from_numpy(right).bfloat16()
    expected = torch.from_numpy(left @ right).bfloat16()
    assert torch.equal(ours, expected)


def check_openblas_of_the_environment() -> None:
    """conda-forge's OpenBLAS has the SONAME of torch's copy, and is opened beside it all the same.

    numpy from conda-forge opens it so; here numpy brings a third one under a name of its own.
    """
    library = ctypes.CDLL(OPENBLAS)
    left, right = np.random.default_rng(1).standard_normal((2, 64, 64))
    product = np.empty_like(left)
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in (left, right, product)]
    row_major, as_it_is, size = 101, 111, 64
    library.cblas_dgemm(
        row_major, as_it_is, as_it_is, size, size, size, ctypes.c_double(1), pointers[0], size,
        pointers[1], size, ctypes.c_double(0), pointers[2], size,
    )  # fmt: skip
    np.testing.assert_allclose(product, left @ right, atol=1e-12)
    ours = torch.from_numpy(left) @ torch.from_numpy(right)
    np.testing.assert_allclose(ours.numpy(), product, atol=1e-12)


def check_pictures() -> None:
    """Pillow's own codecs."""
    assert features.check("jpg")
    assert features.check("zlib")
    picture = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))
    for kind in ("PNG", "JPEG"):
        path = f"picture.{kind.lower()}"
        picture.save(path)
        again = np.asarray(Image.open(path), dtype=int)
        assert abs(again - np.asarray(picture, dtype=int)).mean() < (1 if kind == "PNG" else 4)


if __name__ == "__main__":
    check_algebra()
    check_pictures()
    for program in PROGRAMS:
        runpy.run_path(program, run_name="__main__")
    found = mapped()
    if Path(OPENBLAS).exists():
        check_openblas_of_the_environment()
    print(found)

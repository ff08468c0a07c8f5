"""Smoke test of triton: compiles a kernel down to a cubin, for which no GPU is needed."""

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource


@triton.jit
def add(x, y, out, n, block: tl.constexpr):
    """Add two vectors."""
    at = tl.program_id(0) * block + tl.arange(0, block)
    mask = at < n
    tl.store(out + at, tl.load(x + at, mask=mask) + tl.load(y + at, mask=mask), mask=mask)


def check_compile() -> None:
    """Every stage from Python to machine code, the last with the bundled ptxas."""
    source = ASTSource(
        fn=add,
        signature={"x": "*fp32", "y": "*fp32", "out": "*fp32", "n": "i32", "block": "constexpr"},
        constexprs={"block": 128},
    )
    made = triton.compile(source, target=GPUTarget("cuda", 90, 32))
    assert "add.f32" in made.asm["ptx"]
    assert made.asm["cubin"][:4] == b"\x7fELF"


if __name__ == "__main__":
    check_compile()
    print(f"triton {triton.__version__} works")

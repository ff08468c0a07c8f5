"""Smoke test of bitsandbytes: four bits and back, and a product of eight, on the CPU."""

import bitsandbytes
import torch
from bitsandbytes.functional import dequantize_4bit, int8_linear_matmul, quantize_4bit


def check_four_bits() -> None:
    """What is made four bits of and back is near to what it was, in an eighth of the room."""
    torch.manual_seed(0)
    before = torch.randn(64, 64)
    packed, state = quantize_4bit(before, quant_type="nf4", blocksize=64)
    assert packed.numel() == before.numel() // 2
    assert (dequantize_4bit(packed, state) - before).abs().mean() < 0.1


def check_eight_bits() -> None:
    """The product of small whole numbers is exact."""
    left = torch.arange(-32, 32, dtype=torch.int8).reshape(4, 16)
    right = torch.arange(-24, 24, dtype=torch.int8).reshape(3, 16)
    assert torch.equal(int8_linear_matmul(left, right), left.int() @ right.int().T)


if __name__ == "__main__":
    check_four_bits()
    check_eight_bits()
    print(f"bitsandbytes {bitsandbytes.__version__} works")

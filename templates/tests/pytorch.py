"""Smoke test of pytorch: what a first user does, in a minute also under emulation."""

import sys
import tempfile
from pathlib import Path

import torch
from torch import nn
from torch.utils.cpp_extension import include_paths


def check_algebra() -> None:
    """Matrix product, solve and SVD go through BLAS and LAPACK."""
    torch.manual_seed(0)
    matrix = torch.randn(48, 48, dtype=torch.float64)
    product = matrix @ matrix.T + 48 * torch.eye(48, dtype=torch.float64)
    right = torch.ones(48, dtype=torch.float64)
    torch.testing.assert_close(product @ torch.linalg.solve(product, right), right)
    left, values, other = torch.linalg.svd(matrix)
    torch.testing.assert_close(left @ torch.diag(values) @ other, matrix)


def check_autograd() -> None:
    """A gradient that is known, and a training step that lowers the loss."""
    x = torch.linspace(0.0, 1.0, 16, requires_grad=True)
    (x**3).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, 3 * x.detach() ** 2)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    inputs = torch.randn(32, 4)
    target = inputs.sum(dim=1, keepdim=True)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(inputs), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0], losses


def check_compile() -> None:
    """torch.compile's import path and graph capture, without a C++ compiler."""
    compiled = torch.compile(lambda x: torch.sin(x) + 1, backend="eager", fullgraph=True)
    x = torch.arange(8.0)
    torch.testing.assert_close(compiled(x), torch.sin(x) + 1)


def check_numpy() -> None:
    """A tensor and its array are the same memory; no base channel has numpy for win-arm64."""
    array = torch.zeros(2, 3).numpy()
    array += 1
    assert torch.from_numpy(array).sum() == 6


def check_save_and_load() -> None:
    """Weights survive a file."""
    layer = nn.Conv2d(3, 4, 3)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.pt"
        torch.save(layer.state_dict(), path)
        again = nn.Conv2d(3, 4, 3)
        again.load_state_dict(torch.load(path, weights_only=True))
    image = torch.randn(1, 3, 8, 8)
    torch.testing.assert_close(layer(image), again(image))


def check_extension_headers() -> None:
    """C++ extensions find torch's headers through the links to libtorch."""
    folders = [Path(folder) for folder in include_paths()]
    for header in ("torch/extension.h", "ATen/ATen.h", "c10/macros/Macros.h"):
        assert any((folder / header).is_file() for folder in folders), (header, folders)


def check_shared_memory() -> None:
    """Tensors can be handed to other processes: needs torch_shm_manager."""
    tensor = torch.ones(4).share_memory_()
    assert tensor.is_shared()


if __name__ == "__main__":
    check_algebra()
    check_autograd()
    if hasattr(torch, "compile"):
        check_compile()
    if sys.platform != "win32":
        check_numpy()
    check_save_and_load()
    check_extension_headers()
    check_shared_memory()
    print(f"torch {torch.__version__} works; threads {torch.get_num_threads()}")

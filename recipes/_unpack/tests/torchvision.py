"""Smoke test of torchvision: its compiled operators, a model, and its image codecs."""

import torch
import torchvision
from torchvision.io import ImageReadMode, decode_image, decode_jpeg, encode_jpeg, encode_png
from torchvision.models import resnet18
from torchvision.ops import nms
from torchvision.transforms import v2


def check_nms() -> None:
    """Non-maximum suppression drops the weaker of two boxes that overlap."""
    boxes = torch.tensor([[0.0, 0, 10, 10], [1.0, 1, 11, 11], [20.0, 20, 30, 30]])
    kept = nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5)
    assert kept.tolist() == [0, 2], kept


def check_resnet18() -> None:
    """A forward pass on a small image, with weights of its own making."""
    torch.manual_seed(0)
    model = resnet18(weights=None).eval()
    with torch.inference_mode():
        logits = model(torch.randn(1, 3, 64, 64))
    assert logits.shape == (1, 1000)
    assert torch.isfinite(logits).all()


def check_codecs() -> None:
    """PNG comes back as it was, JPEG nearly so."""
    ramp = torch.arange(64, dtype=torch.uint8).repeat(64, 1)
    image = torch.stack([ramp, ramp.T, 128 * torch.ones_like(ramp)])
    torch.testing.assert_close(decode_image(encode_png(image), ImageReadMode.RGB), image)
    again = decode_jpeg(encode_jpeg(image, quality=95))
    assert again.shape == image.shape
    assert (again.int() - image.int()).abs().float().mean() < 4


def check_transforms() -> None:
    """Resizing goes through torch."""
    resized = v2.functional.resize(torch.rand(3, 32, 32), [16, 16], antialias=True)
    assert resized.shape == (3, 16, 16)


if __name__ == "__main__":
    check_nms()
    check_resnet18()
    check_codecs()
    check_transforms()
    print(f"torchvision {torchvision.__version__} works")

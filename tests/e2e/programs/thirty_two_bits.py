"""What goes wrong where torch only compiles for 32 bits. Prints a line of JSON for each part.

Argument: a folder in which files are exchanged with a torch for 64 bits: `theirs.pt` is read,
`ours.pt` is left for the other one.
"""
# a part fails alone, and outside of pytest
# ruff: noqa: BLE001, PLC0415, PT017

import io
import json
import math
import sys
import traceback
import wave
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

FOLDER = Path(sys.argv[1])
LARGE = 2**32 + 3


def jit():
    def program(a, b):
        return a * b + a

    def branching(a):
        total = torch.zeros(1)
        for index in range(3):
            if bool(a.sum() > index):
                total = total + a.sum() * index
        return total

    a, b = torch.randn(3, 4), torch.randn(3, 4)
    traced = torch.jit.trace(program, (a, b))
    torch.testing.assert_close(traced(b, a), program(b, a))
    scripted = torch.jit.script(branching)
    for value in (a, a.abs() * 9):
        torch.testing.assert_close(scripted(value), branching(value))
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval()
    image = torch.randn(1, 3, 8, 8)
    kept = io.BytesIO()
    torch.jit.save(torch.jit.trace(model, image), kept)
    kept.seek(0)
    torch.testing.assert_close(torch.jit.load(kept)(image), model(image))


def fft():
    for size in (16, 15, 97):
        signal = torch.randn(size, dtype=torch.float64)
        rows = torch.arange(size, dtype=torch.float64)
        angle = -2 * math.pi * torch.outer(rows, rows) / size
        slow = torch.complex(torch.cos(angle), torch.sin(angle)) @ signal.to(torch.complex128)
        torch.testing.assert_close(torch.fft.fft(signal), slow)
        torch.testing.assert_close(torch.fft.irfft(torch.fft.rfft(signal), n=size), signal)
    image = torch.randn(6, 10)
    torch.testing.assert_close(torch.fft.ifft2(torch.fft.fft2(image)).real, image)


def quantized():
    torch.backends.quantized.engine = "qnnpack"
    values = torch.randn(4, 8)
    packed = torch.quantize_per_tensor(values, 0.05, 10, torch.quint8)
    assert (packed.dequantize() - values.clamp(-0.5, 12.25)).abs().max() <= 0.0251
    model = nn.Sequential(nn.Linear(8, 5), nn.ReLU())
    small = torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)
    difference = (small(values) - model(values)).abs().max()
    assert difference < 0.1, difference
    weight = torch.quantize_per_tensor(torch.randn(4, 3, 3, 3), 0.02, 0, torch.qint8)
    image = torch.quantize_per_tensor(torch.rand(1, 3, 9, 9), 1 / 255, 0, torch.quint8)
    bias = torch.zeros(4)
    got = torch.ao.nn.quantized.functional.conv2d(image, weight, bias, scale=0.05, zero_point=128)
    want = nn.functional.conv2d(image.dequantize(), weight.dequantize(), bias)
    assert (got.dequantize() - want.clamp(-6.4, 6.35)).abs().max() <= 0.0501


def int64():
    large = torch.tensor([LARGE, -LARGE, 2**62])
    assert large.tolist() == [LARGE, -LARGE, 2**62]
    assert (large * 2 // 2)[0].item() == LARGE
    assert (large[:2] * 3).tolist() == [3 * LARGE, -3 * LARGE]
    assert torch.arange(LARGE, LARGE + 3).sum().item() == 3 * LARGE + 3
    assert torch.full((2,), LARGE).max().item() == LARGE
    assert torch.sort(large).values.tolist() == [-LARGE, LARGE, 2**62]
    assert (large[0] % 5).item() == LARGE % 5
    assert torch.bitwise_left_shift(torch.tensor(1), torch.tensor(40)).item() == 2**40
    assert torch.tensor(float(LARGE), dtype=torch.float64).to(torch.int64).item() == LARGE
    assert torch.randint(2**40, 2**41, (64,)).min().item() >= 2**40
    unique, counts = torch.unique(torch.tensor([LARGE, 3, LARGE]), return_counts=True)
    assert (unique.tolist(), counts.tolist()) == ([3, LARGE], [1, 2])
    for wrong in (LARGE, -LARGE):  # 3 in 32 bits, which there is
        try:
            torch.arange(8)[wrong]
        except IndexError:
            continue
        raise AssertionError(f"{wrong} was taken for an index")
    try:
        torch.zeros(8).gather(0, torch.tensor([LARGE]))
    except RuntimeError as error:
        assert "out of bounds" in str(error)
    else:
        raise AssertionError("gather took an index above 2^32")
    if sys.maxsize < 2**32:
        try:
            torch.empty(2**33, dtype=torch.uint8)
        except (RuntimeError, MemoryError):
            pass
        else:
            raise AssertionError("8 GB were given")


def saving():
    state = {
        "int64": torch.tensor([LARGE, -1]),
        "float": torch.linspace(0, 1, 7),
        "half": torch.linspace(0, 1, 5).half(),
        "complex": torch.tensor([1 + 2j]),
        "view": torch.arange(12).view(3, 4).t()[1:],
        "model": nn.LSTM(3, 4).state_dict(),
    }
    torch.manual_seed(3)
    state["random"] = torch.randperm(100)
    theirs = FOLDER / "theirs.pt"
    if theirs.is_file():
        found = torch.load(theirs)
        for name in ("int64", "float", "half", "complex", "view", "random"):
            assert torch.equal(found[name], state[name]), name
        nn.LSTM(3, 4).load_state_dict(found["model"])
    else:
        assert "--alone" in sys.argv, "no file of the other torch"
    torch.save(state, FOLDER / "ours.pt")
    found = torch.load(FOLDER / "ours.pt", mmap=True)
    assert torch.equal(found["view"], state["view"])


def autograd():
    torch.manual_seed(0)
    inputs = [torch.randn(3, 4, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    for program in (
        lambda a, b: (a @ b.t()).logsumexp(1),
        lambda a, b: torch.softmax(a, 1) * torch.tanh(b),
        lambda a, b: nn.functional.layer_norm(a, (4,)) + b.cumsum(1),
        lambda a, b: torch.linalg.solve(a @ a.t() + 3 * torch.eye(3), b),
    ):
        assert torch.autograd.gradcheck(program, inputs)
    model = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 1))
    points = torch.rand(64, 2)
    wanted = (points[:, :1] - points[:, 1:]).sin()
    adam = torch.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for _ in range(60):
        adam.zero_grad()
        loss = nn.functional.mse_loss(model(points), wanted)
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 5, losses[-1]


class Squares(Dataset):
    def __len__(self):
        return 40

    def __getitem__(self, index):
        return torch.tensor([index * index, LARGE])


def workers():
    found = list(DataLoader(Squares(), batch_size=8, num_workers=2))
    assert torch.cat(found)[:, 0].tolist() == [index * index for index in range(40)]
    assert torch.cat(found)[:, 1].unique().tolist() == [LARGE]


def linear_algebra():
    matrix = torch.randn(12, 12, dtype=torch.float64)
    torch.testing.assert_close(matrix @ torch.linalg.inv(matrix), torch.eye(12).double())
    u, s, vh = torch.linalg.svd(matrix)
    torch.testing.assert_close(u @ torch.diag(s) @ vh, matrix)
    wide = torch.randn(65, 130)
    slow = (wide.double() @ wide.double().t()).float()
    torch.testing.assert_close(wide @ wide.t(), slow, rtol=1e-4, atol=1e-4)
    if "--alone" not in sys.argv:
        import numpy as np

        assert torch.from_numpy(np.arange(5)).sum().item() == 10
        assert matrix.numpy().shape == (12, 12)


def vision():
    import torchvision
    from torchvision.io import decode_image, encode_jpeg, encode_png

    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]])
    kept = torchvision.ops.nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5)
    assert kept.tolist() == [0, 2]
    torch.manual_seed(1)
    model = torchvision.models.resnet18().eval()
    with torch.inference_mode():
        said = model(torch.rand(1, 3, 64, 64))
    assert said.shape == (1, 1000)
    assert bool(said.isfinite().all())
    rows, columns = torch.meshgrid(torch.arange(32), torch.arange(48), indexing="ij")
    image = torch.stack([rows * 7, columns * 5, rows + columns]).to(torch.uint8)
    assert torch.equal(decode_image(encode_png(image)), image)
    smooth = torch.stack([rows * 2 + 40, columns * 2 + 30, rows + columns]).to(torch.uint8)
    again = decode_image(encode_jpeg(smooth, quality=95))
    assert (again.int() - smooth.int()).abs().float().mean() < 4
    aligned = torchvision.ops.roi_align(torch.rand(1, 2, 16, 16), [torch.rand(1, 4) * 8], 3)
    assert aligned.shape == (1, 2, 3, 3)


def audio():
    import torchaudio

    signal = torch.zeros(64, dtype=torch.float64)
    signal[0] = 1.0
    a, b = torch.tensor([1.0, -0.5]).double(), torch.tensor([1.0, 0.0]).double()
    answer = torchaudio.functional.lfilter(signal, a, b, clamp=False)
    torch.testing.assert_close(answer, 0.5 ** torch.arange(64).double())
    tone = torch.sin(2 * math.pi * 440 * torch.arange(16000) / 16000)
    mel = torchaudio.transforms.MelSpectrogram(sample_rate=16000, n_fft=512, n_mels=32)(tone)
    assert mel.shape == (32, 63)
    centre = torchaudio.functional.melscale_fbanks(257, 0.0, 8000.0, 32, 16000)[14].argmax()
    assert abs(int(mel.mean(1).argmax()) - int(centre)) <= 1
    lower = torchaudio.functional.resample(tone, 16000, 8000)
    assert lower.shape == (8000,)
    path = FOLDER / "tone.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes((tone * 32767).to(torch.int16).numpy().tobytes())
    if torchaudio.list_audio_backends():
        read, rate = torchaudio.load(str(path))
        assert rate == 16000
        torch.testing.assert_close(read[0], tone, rtol=0, atol=1e-4)
    else:
        print(json.dumps({"part": "wav", "outcome": "no backend"}), flush=True)


def off():
    assert not torch.cuda.is_available()
    if sys.maxsize < 2**32:
        assert not torch.distributed.is_available()
        assert not torch.backends.mkldnn.is_available()
        try:
            torch.distributed.init_process_group("gloo")
        except (AttributeError, RuntimeError) as error:
            assert "init_process_group" in str(error) or "distributed" in str(error)
    try:
        torch.zeros(1).cuda()
    except (RuntimeError, AssertionError) as error:
        assert "CUDA" in str(error)


if __name__ == "__main__":
    print(json.dumps({"part": "bits", "outcome": str(sys.maxsize)}), flush=True)
    parts = [
        jit,
        fft,
        quantized,
        int64,
        saving,
        autograd,
        workers,
        linear_algebra,
        vision,
        audio,
        off,
    ]
    chosen = [word for word in sys.argv[2:] if not word.startswith("-")]
    for part in parts:
        if chosen and part.__name__ not in chosen:
            continue
        try:
            part()
        except Exception:
            outcome = traceback.format_exc()
        else:
            outcome = "right"
        print(json.dumps({"part": part.__name__, "outcome": outcome}), flush=True)

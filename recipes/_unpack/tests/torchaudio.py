"""Smoke test of torchaudio: a compiled filter, resampling and a spectrogram."""

import math

import torch
import torchaudio
from torchaudio.functional import lfilter, resample
from torchaudio.transforms import MelSpectrogram

RATE = 16_000


def tone(frequency: float) -> torch.Tensor:
    """Return a quarter of a second of a sine."""
    return torch.sin(2 * math.pi * frequency * torch.arange(RATE // 4) / RATE)


def check_lfilter() -> None:
    """The filter y[n] = x[n] + y[n-1] / 2 turns an impulse into powers of a half."""
    impulse = torch.zeros(8)
    impulse[0] = 0.5
    filtered = lfilter(impulse, torch.tensor([1.0, -0.5]), torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(filtered, 0.5 ** torch.arange(1.0, 9.0))


def check_resample() -> None:
    """Half the rate gives half the samples of the same tone."""
    half = resample(tone(440.0), RATE, RATE // 2)
    assert half.shape == (RATE // 8,)
    torch.testing.assert_close(half[100:-100], tone(440.0)[::2][100:-100], atol=0.02, rtol=0.0)


def check_mel_spectrogram() -> None:
    """A higher tone has its peak in a higher band."""
    mel = MelSpectrogram(sample_rate=RATE, n_fft=512, n_mels=32)
    low, high = (mel(tone(f)).mean(dim=-1).argmax().item() for f in (300.0, 3000.0))
    assert low < high, (low, high)


if __name__ == "__main__":
    check_lfilter()
    check_resample()
    check_mel_spectrogram()
    print(f"torchaudio {torchaudio.__version__} works")

"""Saves a tone as a wav file and loads it, half a second of it and all."""

import math
import sys

import torch
import torchaudio

RATE = 16_000
path = sys.argv[1]
tone = 0.5 * torch.sin(2 * math.pi * 440 * torch.arange(RATE // 2) / RATE)[None]
torchaudio.save(path, tone, RATE)
loaded, rate = torchaudio.load(path)
assert (rate, loaded.shape) == (RATE, tone.shape), (rate, loaded.shape)
assert (loaded - tone).abs().max() < 1e-4, (loaded - tone).abs().max()
part, _ = torchaudio.load(path, frame_offset=100, num_frames=200)
assert torch.equal(part, loaded[:, 100:300])

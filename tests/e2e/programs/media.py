"""Sound and pictures as people use them: wav, mp3, a video, PNG and JPEG, another rate.

Prints, as JSON in the last line, the files that /proc/self/maps names then.
"""

import math
import sys
from pathlib import Path

import torch
import torchaudio
import torchcodec
from mapped_files import mapped
from torchaudio.functional import resample
from torchcodec.decoders import AudioDecoder, VideoDecoder
from torchcodec.encoders import VideoEncoder
from torchvision.io import decode_jpeg, decode_png, encode_jpeg, encode_png

RATE = 16_000
TONE = 0.5 * torch.sin(2 * math.pi * 440 * torch.arange(RATE // 2) / RATE)[None]


def check_wav(folder: Path) -> None:
    """What is saved is loaded, all of it and a part."""
    path = folder / "tone.wav"
    torchaudio.save(path, TONE, RATE)
    loaded, rate = torchaudio.load(path)
    assert (rate, loaded.shape) == (RATE, TONE.shape), (rate, loaded.shape)
    assert (loaded - TONE).abs().max() < 1e-4, (loaded - TONE).abs().max()
    part, _ = torchaudio.load(path, frame_offset=100, num_frames=200)
    assert torch.equal(part, loaded[:, 100:300])


def check_mp3(folder: Path) -> None:
    """An mp3 keeps the tone: most of its power is at one place."""
    path = folder / "tone.mp3"
    torchaudio.save(path, TONE, RATE)
    loaded, rate = torchaudio.load(path)
    power = torch.fft.rfft(loaded[0]).abs()
    assert abs(power.argmax().item() * rate / loaded.shape[1] - 440) < 4, power.argmax()
    asked = AudioDecoder(path, sample_rate=8_000).get_all_samples()
    assert asked.sample_rate == 8_000


def check_resample() -> None:
    """Half the rate has half the samples."""
    assert resample(TONE, RATE, RATE // 2).shape == (1, RATE // 4)


def check_video(folder: Path) -> None:
    """Frames that get brighter do so in the video, too."""
    path = folder / "ramp.mp4"
    levels = torch.arange(40, 200, 20, dtype=torch.uint8)
    frames = levels[:, None, None, None].expand(-1, 3, 64, 64).contiguous()
    VideoEncoder(frames, frame_rate=8).to_file(path)
    video = VideoDecoder(path)
    assert len(video) == len(levels), len(video)
    seen = torch.stack([frame.float().mean() for frame in video])
    assert (seen - levels).abs().max() < 8, seen
    assert video.get_frame_played_at(0.5).pts_seconds == 0.5


def check_pictures(folder: Path) -> None:
    """A frame of the video as PNG and as JPEG."""
    frame = VideoDecoder(folder / "ramp.mp4")[3]
    assert torch.equal(decode_png(encode_png(frame)), frame)
    again = decode_jpeg(encode_jpeg(frame, quality=95)).int()
    assert (again - frame.int()).abs().float().mean() < 4


def check_pictures_of_torchcodec() -> None:
    """From 0.13 on it has pictures of its own, with the libraries that torchvision uses."""
    picture = torch.arange(3 * 48, dtype=torch.uint8).reshape(3, 6, 8)
    png = torchcodec.encoders.PngEncoder(picture).to_tensor()
    assert torch.equal(torchcodec.decoders.decode_png(png), picture)
    assert torch.equal(decode_png(png), picture)
    flat = torch.full_like(picture, 77)
    assert (torchcodec.decoders.decode_jpeg(encode_jpeg(flat)).int() - 77).abs().max() < 3


if __name__ == "__main__":
    place = Path(sys.argv[1])
    check_wav(place)
    check_mp3(place)
    check_resample()
    check_video(place)
    check_pictures(place)
    if hasattr(torchcodec.decoders, "decode_jpeg"):
        check_pictures_of_torchcodec()
    print("sound and pictures work")
    print(mapped())

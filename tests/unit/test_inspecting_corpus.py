"""The corpus of headers, and the readers fuzzed with it: no crash, no hang, little memory."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from generator.building.archive import _BINARY, _BINARY_PE
from generator.errors import LinkageError
from generator.inspecting import elf as elf_reader
from generator.inspecting import macho as macho_reader
from generator.inspecting import pe as pe_reader
from generator.inspecting import read_binary
from tests.counts import count
from tests.unit.binaries import elf, pe
from tests.unit.corpus import Sample, samples

CORPUS = samples()
#: what issue 3 allows one input: seconds, and bytes of the whole process
SECONDS, MEMORY = 1.0, 300 << 20


def read(content: bytes, name: str) -> list[str]:
    return [part.machine for part in read_binary(io.BytesIO(content), len(content), name)]


def file_name(sample: Sample) -> str:
    return "x.dll" if "pe-" in sample.name else "x.so"


@pytest.mark.parametrize("sample", CORPUS, ids=lambda sample: sample.name)
def test_every_sample_is_read_or_refused_as_it_says(sample: Sample) -> None:
    if sample.machines is not None:
        assert read(sample.content(), file_name(sample)) == sample.machines
        return
    with pytest.raises(LinkageError, match="headers are corrupt") as caught:
        read(sample.content(), file_name(sample))
    assert caught.value.where == file_name(sample)


def test_real_headers_say_what_the_facts_say() -> None:
    found = {
        sample.name: read_binary(io.BytesIO(sample.content()), sample.size, file_name(sample))[-1]
        for sample in CORPUS
        if not sample.name.startswith("nasty-")
    }
    manager = found["elf-torch_shm_manager"]
    assert manager.executable
    assert manager.runpath == ("$ORIGIN/../lib",)
    assert {load.name for load in manager.needs} >= {"libshm.so", "libc10.so", "libc.so.6"}
    image = found["elf-image_stable"]
    assert "libpng16.2d3c9837.so.16" in {load.name for load in image.needs}
    mac = found["macho-image_stable"]
    assert ((73, 0, 0), "@loader_path/.dylibs/libpng16.16.dylib") in {
        (load.compatibility, load.name) for load in mac.needs
    }
    assert mac.floor == (14, 0)
    assert found["pe-msvcp140"].name == "MSVCP140.dll"
    psutil = found["pe-psutil"]
    assert (psutil.machine, psutil.executable) == ("arm64", False)
    assert {"python3.dll", "KERNEL32.dll", "VCRUNTIME140.dll"} <= {n.name for n in psutil.needs}
    launcher = found["pe-x64-launcher"]
    assert (launcher.machine, launcher.executable) == ("x86_64", True)


def test_endless_lists_are_refused() -> None:
    assert read(elf([f"lib{n}.so" for n in range(1000)]), "x.so") == ["aarch64"]
    with pytest.raises(LinkageError, match="2000 needed libraries"):
        read(elf(["libx.so"] * 2000), "x.so")
    assert read(pe([f"{n}.dll" for n in range(1000)]), "x.dll") == ["arm64"]
    with pytest.raises(LinkageError, match="more than 1024 imported"):
        read(pe(["x.dll"] * 1100), "x.dll")


def test_only_what_may_be_something_else_is_passed_over() -> None:
    assert read(b"MZ is how this text begins" + bytes(100), "share/notes.txt") == []
    for name in ("x.dll", "x.PYD", "x.exe"):
        with pytest.raises(LinkageError, match="no PE signature"):
            read(b"MZ" + bytes(100), name)


def test_the_build_hands_every_kind_of_binary_to_the_audit() -> None:
    """The seal tells binaries by their first bytes, and knows nothing of this room."""
    assert {elf_reader.MAGIC, *macho_reader.MAGICS} == _BINARY
    assert _BINARY_PE == pe_reader.MAGIC


FUZZ = """
import io, json, pathlib, random, resource, sys, time
from generator.errors import LinkageError
from generator.inspecting import read_binary
from tests.unit.corpus import samples

count, memory = int(sys.argv[1]), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
random.seed(20261122)
corpus = [(s, s.content(), sorted(s.ranges)) for s in samples() if s.size < 4 << 20]
extremes = [0, 1, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, (1 << 63) - 1, (1 << 64) - 1]
worst, refused = 0.0, 0
for number in range(count):
    sample, content, offsets = corpus[number % len(corpus)]
    data = bytearray(content)
    for _ in range(random.randint(1, 6)):
        # only where a reader looks: elsewhere a change changes nothing
        start = random.choice(offsets)
        at = start + random.randrange(len(sample.ranges[start]))
        size = random.choice([1, 2, 4, 8])
        value = random.choice([random.choice(extremes), random.getrandbits(64)])
        data[at : at + size] = value.to_bytes(8, random.choice(["little", "big"]))[:size]
    if random.random() < 0.1:
        del data[random.randrange(len(data)) :]
    began = time.process_time()
    try:
        read_binary(io.BytesIO(data), len(data), "x.dll" if "pe-" in sample.name else "x.so")
    except LinkageError as error:
        assert error.where in ("x.dll", "x.so")
        refused += 1
    worst = max(worst, time.process_time() - began)
# not ru_maxrss, which begins with what the parent had
status = pathlib.Path("/proc/self/status").read_text()
peak = int(status.split("VmHWM:")[1].split()[0]) * 1024
print(json.dumps({"worst": worst, "refused": refused, "peak": peak}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits and sizes as Linux counts them")
def test_mutated_headers_cost_little_time_and_memory() -> None:
    tries = count("headers")
    done = subprocess.run(
        [sys.executable, "-c", FUZZ, str(tries), str(MEMORY)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["worst"] < SECONDS
    assert found["peak"] < MEMORY
    # most changes break something, and some must not
    assert tries * 0.1 < found["refused"] < tries


@pytest.mark.parametrize("sample", [s for s in CORPUS if not s.name.startswith("nasty-")])
def test_a_sparse_file_of_4_gb_is_read_at_once(sample: Sample, tmp_path: Path) -> None:
    path = tmp_path / file_name(sample)
    with path.open("wb") as stream:
        stream.write(sample.content())
        stream.truncate(4 << 30)
    began = time.process_time()
    with path.open("rb") as stream:
        found = read_binary(stream, 4 << 30, path.name)
    assert [part.machine for part in found] == sample.machines
    assert time.process_time() - began < SECONDS


def test_a_section_of_4_gb_is_not_read(tmp_path: Path) -> None:
    """The dynamic section itself, sparse: refused, not read."""
    content = bytearray(elf(["libx.so"]))
    row = next(at for at in range(64, 400, 56) if content[at : at + 4] == b"\2\0\0\0")
    content[row + 32 : row + 40] = (4 << 30).to_bytes(8, "little")
    path = tmp_path / "x.so"
    with path.open("wb") as stream:
        stream.write(content)
        stream.truncate(5 << 30)
    began = time.process_time()
    with path.open("rb") as stream, pytest.raises(LinkageError, match="dynamic section would be"):
        read_binary(stream, 5 << 30, path.name)
    assert time.process_time() - began < SECONDS

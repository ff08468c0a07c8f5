"""A process that reads mutated archives until told to stop: `python -m tests.fuzz_archives COUNT`.

Hypothesis chooses the mutations. An exception other than the family's, an input that takes over a
second of processor time, or a process of over 300 MiB is a failure; the process prints its peak.
"""

from __future__ import annotations

import re
import resource
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from generator.inspecting import verify_package
from generator.inspecting.limits import limits
from generator.inspecting.read_wheel import RefusedError, Wheel
from tests.mutated_packages import Draft, packed
from tests.nasty_archives import FOLDER
from tests.packages import nothing

#: processor seconds that one input may take
SECONDS = 1.0
SEEDS = tuple(sorted(FOLDER.iterdir()))


@st.composite
def archives(draw: st.DrawFn) -> tuple[str, bytes]:
    """A seed with bytes replaced, cut out, doubled; or free bytes in the place of a tar."""
    if draw(st.integers(0, 9)) == 0:
        return "free.conda", draw(st.binary(max_size=2048))
    seed = draw(st.sampled_from(SEEDS))
    content = bytearray(seed.read_bytes())
    for _ in range(draw(st.integers(0, 6))):
        # the ends of a zip hold what readers go by, so half of the changes are there
        back = min(len(content), 400)
        near = draw(st.booleans())
        place = draw(st.integers(max(0, len(content) - back) if near else 0, len(content)))
        match draw(st.sampled_from(("set", "word", "cut", "double"))):
            case "set":
                content[place : place + 1] = bytes([draw(st.integers(0, 255))])
            case "word":
                word = draw(st.sampled_from((0, 1, 2**15, 2**16 - 1, 2**31, 2**32 - 1)))
                content[place : place + 4] = word.to_bytes(4, "little")
            case "cut":
                del content[place : place + draw(st.integers(1, 64))]
            case _:
                content[place:place] = content[place : place + draw(st.integers(1, 64))]
    return seed.name, bytes(content)


@st.composite
def tars(draw: st.DrawFn) -> bytes:
    """A tar with sound checksums and odd fields, so that the reader gets past them."""
    blocks = b""
    for _ in range(draw(st.integers(0, 4))):
        name = draw(st.binary(max_size=100))
        size = draw(st.sampled_from((b"0", b"5", b"777", b"\x80" + b"\xff" * 11, b"x", b"-1")))
        kind = draw(st.sampled_from([bytes([byte]) for byte in b"0\x001234567LKxgSAV"]))
        head = bytearray(512)
        head[: len(name)] = name
        head[124 : 124 + len(size)] = size
        head[156:157] = kind
        head[157:257] = draw(st.binary(max_size=100)).ljust(100, b"\0")
        head[148:156] = b" " * 8
        head[148:156] = b"%06o\0 " % sum(head)
        body = draw(st.sampled_from((b"", b"5 a=\n", b"12 path=a/b\n", b"9 size=7\n", b"x" * 5)))
        blocks += bytes(head) + (body.ljust(512, b"\0") if body else b"")
    return blocks + bytes(draw(st.sampled_from((0, 512, 1024, 1536))))


def read(path: Path) -> None:
    """Read one archive; anything but a result or the family's error goes through."""
    start = time.process_time()
    if path.suffix == ".whl":
        with suppress(RefusedError):
            wheel = Wheel(path, limits().wheel_ratio)
            for member in wheel.record:
                for _ in wheel.stream(member):
                    pass
    else:
        proof = verify_package(path, nothing)
        assert proof.flaws or proof.verdict != "refuted"
    took = time.process_time() - start
    assert took < SECONDS, f"{path.name} took {took:.1f} s"


def main(tries: int) -> None:
    for seed in SEEDS:
        read(seed)
    quiet = settings(
        max_examples=tries // 2,
        deadline=None,
        database=None,
        derandomize=True,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        @quiet
        @given(archives())
        def fuzz_files(found: tuple[str, bytes]) -> None:
            path = folder / found[0]
            path.write_bytes(found[1])
            read(path)

        @quiet
        @given(tars(), tars())
        def fuzz_tars(pkg: bytes, info: bytes) -> None:
            # in the form that the seal gives, so that what is in it is looked at
            made = Draft("x-1-0", 0, (0, 33), {"pkg": [], "info": []})
            made.pack = {"pkg": lambda _: packed(pkg), "info": lambda _: packed(info)}
            path = folder / "x-1-0.conda"
            path.write_bytes(made.bytes())
            read(path)

        fuzz_files()
        fuzz_tars()
    print(peak())


def peak() -> int:
    """The most MiB this program has held; getrusage counts what stood here before exec, too."""
    status = Path("/proc/self/status")
    if status.is_file():
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        assert found is not None
        return int(found[1]) // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 20


if __name__ == "__main__":
    main(int(sys.argv[1]))

"""The seal: what the final bytes depend on, and what it refuses."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.building import seal
from generator.building.archive import open_payload, read_info, read_json
from generator.building.policy import policy
from generator.building.rendered import normalise
from generator.building.seal import Sealed
from generator.errors import BuildError, IntegrityError

RULES = policy().seal
RENDERED = """\
recipe:
  package:
    name: tiny
    version: '1.0'
build_configuration:
  target_platform: linux-aarch64
  host_platform:
    platform: linux-64
    virtual_packages:
    - __archspec=1=x86_64_v4
  build_platform:
    platform: linux-64
    virtual_packages: []
  directories:
    host_prefix: %(folder)s/host_env_placehold
    build_prefix: %(folder)s/build_env
    work_dir: %(folder)s/work
    build_dir: %(folder)s
  timestamp: 2026-11-22T19:56:52.817857619Z
  packaging_settings:
    archive_type: conda
    compression_level: -7
system_tools:
  rattler-build: 0.73.0
"""


def row(path: str, content: bytes, kind: str = "hardlink") -> dict[str, Any]:
    return {
        "_path": path,
        "path_type": kind,
        "size_in_bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def draft(
    folder: Path,
    files: dict[str, bytes | str],
    *,
    rows: list[dict[str, Any]] | None = None,
    when: int = 1,
    build: str = "/a",
    owner: int = 0,
    mode: int = 0o644,
    order: list[str] | None = None,
) -> Path:
    """Write a package as rattler-build does; a text stands for a link to it."""
    if rows is None:
        rows = [
            row(name, content) if isinstance(content, bytes) else row(name, b"", "softlink")
            for name, content in files.items()
        ]
    info = {
        "info/index.json": json.dumps({"name": "tiny", "timestamp": when}).encode(),
        "info/paths.json": json.dumps({"paths": rows, "paths_version": 1}).encode(),
        "info/recipe/rendered_recipe.yaml": (RENDERED % {"folder": build}).encode(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "tiny-1.0-0.conda"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", '{"conda_pkg_format_version":2}')
        for kind, members in (("pkg", {n: files[n] for n in order or files}), ("info", info)):
            buffer = io.BytesIO()
            with tarfile.open(fileobj=buffer, mode="w") as tar:
                for name, content in members.items():
                    entry = tarfile.TarInfo(name)
                    entry.mtime, entry.uid, entry.mode = when, owner, mode
                    if isinstance(content, str):
                        entry.type, entry.linkname = tarfile.SYMTYPE, content
                        tar.addfile(entry)
                    else:
                        entry.size = len(content)
                        tar.addfile(entry, io.BytesIO(content))
            packed = zstandard.ZstdCompressor(level=1).compress(buffer.getvalue())
            archive.writestr(f"{kind}-tiny-1.0-0.tar.zst", packed)
    return path


def sealed(source: Path, *, level: int = 3, cores: int = 1, token: bytes = b"") -> Sealed:
    target = source.parent / "sealed" / source.name
    target.parent.mkdir(exist_ok=True)
    return seal(
        source,
        target,
        milliseconds=1767323046000,
        level=level,
        cores=cores,
        rules=RULES,
        token=token,
    )


FILES: dict[str, bytes | str] = {
    "bin/run": b"#!/bin/sh\n",
    "lib/liba.so": b"\x7fELF" + bytes(5000),
    "lib/link": "../x",
    "lib/m.dylib": b"\xcf\xfa\xed\xfe" + bytes(50),
    "lib/w.dll": b"MZ" + bytes(50),
}


def test_machine_time_and_owner_leave_no_trace(tmp_path: Path) -> None:
    one = sealed(draft(tmp_path / "1", FILES, when=1, build="/home/a", owner=0, mode=0o664))
    two = sealed(draft(tmp_path / "2", FILES, when=99999, build="/b", owner=501, mode=0o600))
    assert one.path.read_bytes() == two.path.read_bytes()
    assert one.sha256 == two.sha256 == hashlib.sha256(one.path.read_bytes()).hexdigest()
    assert one.size == one.path.stat().st_size
    assert one.index == {"name": "tiny", "timestamp": 1767323046000}
    assert one.files == {n: c if isinstance(c, str) else None for n, c in FILES.items()}
    assert one.binaries == ("lib/liba.so", "lib/m.dylib", "lib/w.dll")
    assert sorted(p.name for p in one.path.parent.iterdir()) == [one.path.name]


@pytest.mark.parametrize("mode", [0o600, 0o755])
def test_what_a_file_is_says_whether_it_is_executable(tmp_path: Path, mode: int) -> None:
    """No RECORD has a wheel's own bits, so that nobody could hold them against anything."""
    files = {**FILES, "z.py": b"import x\n"}
    with open_payload(sealed(draft(tmp_path, files, mode=mode)).path) as payload:
        found = {entry.name: entry.mode for entry in payload if entry.isreg()}
    assert found.pop("z.py") == 0o644
    assert set(found.values()) == {0o755}


@pytest.mark.parametrize("level", [1, 9, 13, 20])
def test_threads_do_not_change_the_bytes(tmp_path: Path, level: int) -> None:
    # larger than one compression job, so that threads have work
    rules = replace(RULES, job_mib=1)
    words = [random.Random(1).randbytes(40) for _ in range(500)]
    content = b"".join(random.Random(2).choices(words, k=80_000))
    source = draft(tmp_path, {"big": content})
    found = set()
    for cores in (1, 2, 3, 16):
        target = tmp_path / f"{cores}.conda"
        assert rules.threads_for(level, cores) >= 1
        seal(source, target, milliseconds=1767323046000, level=level, cores=cores, rules=rules)
        with zipfile.ZipFile(target) as archive:
            found.add(archive.read(f"pkg-{cores}.tar.zst"))
    assert len(found) == 1


@settings(max_examples=25)
@given(
    content=st.dictionaries(
        st.text("abc/é-._ ", min_size=1, max_size=150).filter(
            lambda name: not any(part in {"", ".", ".."} for part in name.split("/"))
        ),
        st.binary(max_size=2000),
        min_size=1,
        max_size=8,
    )
)
def test_files_come_through_unchanged(
    tmp_path_factory: pytest.TempPathFactory, content: dict[str, bytes]
) -> None:
    ordered = dict(sorted(content.items(), key=lambda item: item[0].split("/")))
    folder = tmp_path_factory.mktemp("seal")
    source = draft(folder, {**ordered})
    result = sealed(source)
    with open_payload(result.path) as payload:
        found = {}
        for entry in payload:
            stream = payload.extractfile(entry)
            found[entry.name] = stream.read() if stream else None
    assert found == ordered
    assert list(found) == list(ordered)
    info = read_info(result.path)
    assert info["info/paths.json"] == read_info(source)["info/paths.json"]
    assert read_json(info, "info/index.json", source)["timestamp"] == 1767323046000


def test_it_is_a_conda_file_to_others(tmp_path: Path) -> None:
    path = sealed(draft(tmp_path, FILES), level=19).path
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        assert [e.filename for e in entries] == [
            "metadata.json",
            "pkg-tiny-1.0-0.tar.zst",
            "info-tiny-1.0-0.tar.zst",
        ]
        assert {e.compress_type for e in entries} == {zipfile.ZIP_STORED}
        assert {e.date_time for e in entries} == {(2026, 1, 2, 3, 4, 6)}
        # a reader that streams needs the sizes in front of each member
        assert not any(e.flag_bits & 0x08 for e in entries)
        parameters = zstandard.get_frame_parameters(archive.read(entries[1]))
    assert parameters.window_size <= 1 << 27, "what zstd readers accept unasked"


def wrong(rows: list[dict[str, Any]], **changes: Any) -> list[dict[str, Any]]:
    return [{**each, **changes} for each in rows]


ROWS = [row("a", b"one"), row("b", b"two")]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (wrong(ROWS, sha256="0" * 64), "a has other bytes"),
        (wrong(ROWS, size_in_bytes=99), "a has other bytes"),
        (wrong(ROWS, path_type="softlink"), "a is not the softlink"),
        (ROWS[:1], "b is in the archive and not in paths.json"),
        ([*ROWS, row("c", b"")], "c is in paths.json and not in the archive"),
    ],
)
def test_a_draft_that_contradicts_itself(
    tmp_path: Path, rows: list[dict[str, Any]], says: str
) -> None:
    source = draft(tmp_path, {"a": b"one", "b": b"two"}, rows=rows)
    with pytest.raises(IntegrityError, match=says):
        sealed(source)
    assert list((tmp_path / "sealed").iterdir()) == [], "nothing half is left"


def test_an_order_that_is_not_rattler_builds(tmp_path: Path) -> None:
    source = draft(tmp_path, {"a": b"one", "b": b"two"}, order=["b", "a"])
    with pytest.raises(IntegrityError, match="a stands out of order"):
        sealed(source)


def test_a_recorded_prefix_is_refused(tmp_path: Path) -> None:
    rows = [{**row("a", b"one"), "prefix_placeholder": "/x", "file_mode": "text"}]
    with pytest.raises(BuildError, match="a holds the path"):
        sealed(draft(tmp_path, {"a": b"one"}, rows=rows))


@pytest.mark.parametrize("before", [0, 7, (1 << 20) - 3, (1 << 20), (2 << 20) - 11])
def test_the_build_folder_is_found_wherever_it_stands(tmp_path: Path, before: int) -> None:
    token = b"armtorch-abc123"
    with pytest.raises(BuildError, match="a holds the path"):
        sealed(draft(tmp_path, {"a": bytes(before) + token + b"xyz"}), token=token)
    (tmp_path / "sealed").rmdir()
    sealed(draft(tmp_path, {"a": bytes(before) + token[:-1] + b"xyz"}), token=token)


def test_a_damaged_draft(tmp_path: Path) -> None:
    source = draft(tmp_path, {"a": random.Random(5).randbytes(100_000)})
    whole = source.read_bytes()
    for cut in (0, 10, len(whole) // 2, len(whole) - 1):
        source.write_bytes(whole[:cut])
        with pytest.raises(IntegrityError, match="not a usable"):
            sealed(source)
    flipped = bytearray(whole)
    flipped[5000] ^= 0xFF
    source.write_bytes(flipped)
    with pytest.raises(IntegrityError):
        sealed(source)


def test_no_space_leaves_nothing(tmp_path: Path) -> None:
    source = draft(tmp_path, {"a": os.urandom(300_000)})
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from tests.unit.test_seal import sealed\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "sealed(Path(sys.argv[1]))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, str(source)], capture_output=True, text=True, check=False
    )
    assert "File too large" in run.stderr
    assert list((tmp_path / "sealed").iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_the_payload(tmp_path: Path) -> None:
    """A file of 400 MiB at the default level, within 300 MiB."""
    block = random.Random(3).randbytes(1 << 20)
    content = block * 400
    source = draft(tmp_path, {"a": content})
    del content
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tests.unit.test_seal import sealed\n"
        "sealed(Path(sys.argv[1]), level=9, cores=8)\n"
        # not ru_maxrss, which begins with what the parent had
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, str(source)], capture_output=True, text=True, check=True
    )
    assert int(run.stdout) < 300 << 10, "KiB"


@pytest.mark.parametrize("digits", ["09e4067", "12e9999"])
def test_a_hash_that_looks_like_a_number_stays_what_it_is(digits: str) -> None:
    text = (RENDERED % {"folder": "/a"}).replace(
        "  directories:", f"  hash:\n    hash: {digits}\n  number: 200\n  directories:"
    )
    found = normalise(text.encode(), milliseconds=0).decode()
    assert f"hash: '{digits}'" in found
    assert "number: 200\n" in found


def test_the_rendered_recipe_keeps_inputs_and_loses_the_machine() -> None:
    texts = {
        normalise((RENDERED % {"folder": folder}).encode(), milliseconds=0).decode()
        for folder in ("/home/one", "/Users/two/with spaces")
    }
    (text,) = texts
    assert "version: '1.0'" in text
    assert "0.73.0" not in text
    assert "compression_level: 0" in text
    assert "host_prefix: $PREFIX" in text
    assert "1970-01-01T00:00:00Z" in text
    assert "archspec" not in text
    assert "linux-64" not in text

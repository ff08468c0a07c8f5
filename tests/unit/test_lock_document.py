"""The lock's file: same content, same bytes; a change by hand is seen; no half file."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from generator.errors import LockError, StorageError
from generator.lock import lock_schema_text, lock_text, parse_lock, read_lock, write_lock
from generator.model import (
    Absence,
    Accelerator,
    BuildNumber,
    Cell,
    CellAbsence,
    Equivalent,
    Lock,
    Metadata,
    PythonBuild,
    Sharing,
    Wheel,
)
from generator.model.names import is_shown
from tests.counts import count
from tests.own_feedstock import LOCK

REPOSITORY = Path(__file__).parents[2]


def _nine(level: int) -> str:
    return f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]"


def wheel(project: str = "torch", python: str | None = "3.12", sha256: str = "a" * 64) -> Wheel:
    build = PythonBuild.parse(python) if python else None
    abi = f"{build.interpreter_tag}-{build.abi}" if build else "py3-none"
    name = f"{project}-2.10.0-{abi}-manylinux_2_28_aarch64.whl"
    return Wheel(
        project=project,
        version="2.10.0",
        filename=name,
        purl=f"pkg:pypi/{project}@2.10.0?file_name={name}",
        size=10,
        sha256=sha256,
        index="pypi",
        python=build,
        platforms=("manylinux_2_28_aarch64",),
        metadata=("f" if project == "torch" else "9") * 64,
        metadata_origin="range",
        record="b" * 64,
        console_scripts=("torchrun = t:main",),
    )


def full_lock() -> Lock:
    cells = tuple(
        Cell(
            line=line,
            train="stable",
            subdir="linux-aarch64",
            accelerator=Accelerator.parse(accelerator),
            trio={"torchaudio": "2.10.0", "torch": "2.10.0"},
            wheels=(wheel("torchaudio", None), wheel(python="3.14t"), wheel(python="3.9"), wheel()),
            sharing=Sharing(
                reference="3.9",
                members=3,
                bytes=9,
                digest="c" * 64,
                per_python=("torch/_C.so",),
                equivalent=(
                    Equivalent(
                        member="torch/lib/libc10.so", rule="build-path", normalised_sha256="d" * 64
                    ),
                ),
            ),
            absent=(Absence(package="torchvision", reason="incompatible", detail="no: 'x' #1"),),
            libraries=("libtorch.so", "libc10.so", *("libtorch_cuda.so",) * (accelerator != "cpu")),
        )
        for line, accelerator in (("2.15", "cuda132"), ("2.15", "cpu"), ("2.10", "cuda130"))
    )
    return Lock(
        cells=cells,
        metadata={
            "f" * 64: Metadata(name="torch", version="2.10.0", requires_dist=("numpy",)),
            "9" * 64: Metadata(name="torchaudio", version="2.10.0"),
        },
        builds={"2.10/pytorch": BuildNumber(number=1, digest="e" * 64)},
        absent=(
            CellAbsence(
                train="stable",
                subdir="win-arm64",
                accelerator="cpu",
                reason="absent",
                detail="nothing",
            ),
        ),
    )


def shuffled(lock: Lock, seed: int) -> Lock:
    chance = random.Random(seed)
    cells = [
        dataclasses.replace(
            cell,
            wheels=tuple(chance.sample(cell.wheels, len(cell.wheels))),
            libraries=tuple(chance.sample(cell.libraries, len(cell.libraries))),
        )
        for cell in chance.sample(lock.cells, len(lock.cells))
    ]
    return dataclasses.replace(lock, cells=tuple(cells))


def test_what_was_written_is_read_back_the_same() -> None:
    lock = full_lock()
    assert parse_lock(lock_text(lock), where="x") == lock.in_order()
    assert lock_text(lock).splitlines()[1].startswith("# written by armtorch update")


@pytest.mark.parametrize("seed", range(5))
def test_equal_locks_give_equal_bytes(seed: int) -> None:
    assert lock_text(shuffled(full_lock(), seed)) == lock_text(full_lock())


def test_who_has_no_libyaml_or_an_older_lock_reads_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = LOCK.read_text()
    bare = re.sub(r'"(pkg:[^"]+)"', r"\1", text)  # as it was written before libyaml read it
    assert bare != text
    lock = parse_lock(text, where="lock")
    assert lock == parse_lock(bare, where="lock")
    monkeypatch.setattr("ruamel.yaml.main.CParser", None)
    assert lock == parse_lock(text, where="lock")


def test_a_missing_file_is_an_empty_lock(tmp_path: Path) -> None:
    assert read_lock(tmp_path / "none.yaml") == Lock()


@example("?t", "a: b")
@example("\tK", "  no line end of YAML 1.1")
@given(st.text(), st.text(min_size=1).filter(lambda text: all(map(is_shown, text))))
@settings(max_examples=count("fuzz"))
def test_any_text_survives(detail: str, summary: str) -> None:
    lock = dataclasses.replace(
        full_lock(),
        absent=(
            CellAbsence(
                train="stable",
                subdir="win-arm64",
                accelerator="cpu",
                reason="absent",
                detail=detail,
            ),
        ),
        metadata={
            **full_lock().metadata,
            "f" * 64: Metadata(name="torch", version="2.10.0", summary=summary),
        },
    )
    assert parse_lock(lock_text(lock), where="x") == lock.in_order()


def test_a_wheel_is_one_line() -> None:
    rows = [line for line in lock_text(full_lock()).splitlines() if "filename:" in line]
    assert len(rows) == 12
    assert all(row.lstrip().startswith("- {project:") for row in rows)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a" * 64, "b" * 64),
        ("size: 10", "size: 11"),
        ("'2.10'", "'2.11'"),
        ("numpy", "numpy>2"),
        ("cells:", "extra: 1\ncells:"),
        ("reason: absent", "reason: unreachable"),
        ("'3.9'", "'3.8'"),
    ],
)
def test_a_change_by_hand_is_seen(old: str, new: str) -> None:
    text = lock_text(full_lock())
    changed = text.replace(old, new, 1)
    assert changed != text
    with pytest.raises(LockError, match="edited by hand") as caught:
        parse_lock(changed, where="feedstock.lock.yaml")
    assert caught.value.exit_code == 4
    assert "armtorch update" in caught.value.next_step


def test_a_newer_schema_has_its_own_message() -> None:
    newer = lock_text(full_lock()).replace("schema: 1", "schema: 2")
    with pytest.raises(LockError, match="newer armtorch") as caught:
        parse_lock(newer, where="x")
    assert "update armtorch" in caught.value.next_step


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1, 2]",
        "cells: []",
        "a: b: c",
        "schema: x\n",
        "schema: 1\n",
        "schema: 1\ndigest: 0\nbuilds: {1: 2020-01-01}\n",
        "<<<<<<< HEAD\nschema: 1\n",
        "schema: 1\n\tdigest: x\n",
    ],
)
def test_what_is_no_lock_is_a_lock_error(text: str) -> None:
    with pytest.raises(LockError) as caught:
        parse_lock(text, where="the-lock")
    assert caught.value.where == "the-lock"
    assert caught.value.next_step


def test_bytes_that_are_not_text_are_a_lock_error(tmp_path: Path) -> None:
    path = tmp_path / "feedstock.lock.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LockError, match="cannot be read"):
        read_lock(path)


def test_flipped_bits_never_pass(tmp_path: Path) -> None:
    content = lock_text(full_lock()).encode()
    path, chance, same = tmp_path / "lock.yaml", random.Random(7), full_lock().in_order()
    for _ in range(count("flips")):
        spoiled = bytearray(content)
        spoiled[chance.randrange(len(spoiled))] ^= 1 << chance.randrange(8)
        path.write_bytes(spoiled)
        try:
            assert read_lock(path) == same  # a comment or a quote that does not matter
        except LockError:
            continue


def test_the_schema_accepts_what_is_written_and_is_committed() -> None:
    schema = json.loads(lock_schema_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    check = jsonschema.Draft202012Validator(schema)
    for text in (lock_text(full_lock()), LOCK.read_text()):
        assert list(check.iter_errors(YAML(typ="safe", pure=True).load(text))) == []
    assert not check.is_valid({"schema": 2, "digest": "0" * 64})
    assert (REPOSITORY / "docs/feedstock.lock.schema.json").read_text() == lock_schema_text()


def test_the_committed_lock_is_in_order_and_loads_quickly() -> None:
    text = LOCK.read_text()
    start = time.process_time()
    lock = parse_lock(text, where="x")
    assert time.process_time() - start < 3  # 0.1 s seen; a slow machine is no failure
    assert lock_text(lock) == text


def test_a_full_disk_leaves_the_old_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "feedstock.lock.yaml"
    write_lock(Lock(), path)
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        write_lock(full_lock(), path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


WRITER = """
import sys
from pathlib import Path
from generator.lock import write_lock
from tests.unit.test_lock_document import full_lock
from generator.model import Lock
print("ready", flush=True)
while True:
    write_lock(full_lock(), Path(sys.argv[1]))
    write_lock(Lock(), Path(sys.argv[1]))
"""


def test_kill_9_at_any_moment_leaves_a_whole_lock(tmp_path: Path) -> None:
    path, chance = tmp_path / "feedstock.lock.yaml", random.Random(11)
    whole = {lock_text(Lock()), lock_text(full_lock())}
    for _ in range(count("kills")):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], cwd=REPOSITORY, stdout=subprocess.PIPE
        ) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(chance.uniform(0.02, 0.2))
            writer.send_signal(signal.SIGKILL)
        if path.exists():
            assert path.read_text() in whole
        read_lock(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a: 2026-13-01", "readable as YAML"),
        ("a: !!int x", "readable as YAML"),
        ("a: !!bool x", "readable as YAML"),
        (f"a: {'9' * 5000}", "readable as YAML"),
        ('a: "\\ud800"', "digest"),
        ("cells: &a [*a]", "holds itself"),
        # nine lists of nine of the one before: a file of 1 kB that is 10 GB when written out
        ("\n".join(["a0: &a0 [x]"] + [_nine(level) for level in range(1, 10)]), "stands for more"),
    ],
)
def test_yaml_that_python_chokes_on_is_a_bad_lock(content: str, said: str) -> None:
    with pytest.raises(LockError, match=said):
        parse_lock(f"schema: 1\n{content}\n", where="lock")

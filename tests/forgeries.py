"""What a build job could do to packages while upstream's code runs in it, each forged to fit.

Every function changes a channel folder as it is unpacked from the jobs' artifacts, and returns the
files that must not be published for it, relative to the folder.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.packages import Parts

EVIL = b"import os; os.system('evil')\n"


def one(channel: Path, name: str) -> Path:
    (found,) = channel.glob(f"*/{name}-[0-9]*.conda")
    return found


def _changed(channel: Path, name: str, change: Callable[[Parts], None]) -> list[str]:
    path = one(channel, name)
    parts = Parts.read(path)
    change(parts)
    parts.seal_info()
    parts.write(path.parent)
    return [path.relative_to(channel).as_posix()]


def _json(parts: Parts, file: str, **fields: object) -> None:
    parts.put_json(file, {**parts.json(file), **fields})


def metadata(channel: Path) -> list[str]:
    """The record depends on another package."""

    def change(parts: Parts) -> None:
        depends = parts.json("info/index.json")["depends"]
        _json(parts, "info/index.json", depends=[*depends, "evil"])

    return _changed(channel, "torchaudio", change)


def pth(channel: Path) -> list[str]:
    """A file that runs when Python starts, accounted for by a recipe of its own."""

    def change(parts: Parts) -> None:
        place, source = "site-packages/evil.pth", "tests/evil.pth"
        parts.payload[place] = EVIL
        digest = hashlib.sha256(EVIL).hexdigest()
        layout = parts.json("info/recipe/layout.json")
        layout["test_files"][place] = {"from": source, "sha256": digest, "size": len(EVIL)}
        text = json.dumps(layout, indent=2, ensure_ascii=False) + "\n"
        parts.info["info/recipe/layout.json"] = text.encode()
        manifest = parts.json("info/armtorch/manifest.json")
        manifest["generated"][place] = {"how": "test-file", "from": source}
        parts.put_json("info/armtorch/manifest.json", manifest)
        parts.adjust(place)

    return _changed(channel, "torchvision", change)


def run_exports(channel: Path) -> list[str]:
    """What is built with it gets another package."""

    def change(parts: Parts) -> None:
        _json(parts, "info/run_exports.json", strong=["evil"])

    # torchvision and torchaudio cannot be installed without it
    more = [one(channel, name) for name in ("torchvision", "torchaudio", "pytorch-cpu")]
    held = [path.relative_to(channel).as_posix() for path in more]
    return [*_changed(channel, "pytorch", change), *held]


def extra_package(channel: Path) -> list[str]:
    """A package of an allowed name, of which the lock has no such version."""
    path = one(channel, "torchaudio")
    parts = Parts.read(path)
    _json(parts, "info/index.json", version="99.0.0")
    build = parts.json("info/index.json")["build"]
    parts.name = f"torchaudio-99.0.0-{build}.conda"
    parts.seal_info()
    return [parts.write(path.parent).relative_to(channel).as_posix()]


def swapped(channel: Path) -> list[str]:
    """A file under the name of another."""
    path = one(channel, "torchaudio")
    shutil.copy(one(channel, "torchvision"), path)
    return [path.relative_to(channel).as_posix()]


def timestamps(channel: Path) -> list[str]:
    """Solvers prefer the newer of two builds."""

    def change(parts: Parts) -> None:
        when = parts.json("info/index.json")["timestamp"] + 86_400_000
        _json(parts, "info/index.json", timestamp=when)
        parts.seconds = when // 1000

    return _changed(channel, "torchaudio", change)


def newer_build(channel: Path) -> list[str]:
    """The same package with a higher build number."""
    path = one(channel, "torchaudio")
    parts = Parts.read(path)
    index = parts.json("info/index.json")
    build = f"{index['build'].rpartition('_')[0]}_99"
    _json(parts, "info/index.json", build=build, build_number=99)
    parts.name = f"torchaudio-{index['version']}-{build}.conda"
    parts.seal_info()
    return [parts.write(path.parent).relative_to(channel).as_posix()]


def label(channel: Path) -> list[str]:
    """A sound package, where a label's are published from."""
    path = one(channel, "torchaudio")
    target = channel / "label" / "rc" / path.parent.name / path.name
    target.parent.mkdir(parents=True)
    shutil.copy(path, target)
    return [target.relative_to(channel).as_posix()]


def stray(channel: Path) -> list[str]:
    """A sound package once more, in a folder that no client reads."""
    path = one(channel, "torchaudio")
    target = channel / "zzz" / path.name
    target.parent.mkdir(parents=True)
    shutil.copy(path, target)
    return [target.relative_to(channel).as_posix()]


def metapackage(channel: Path) -> list[str]:
    """A package without files asks for another one."""

    def change(parts: Parts) -> None:
        _json(parts, "info/index.json", depends=["evil"])

    return _changed(channel, "pytorch-cpu", change)


def truncated(channel: Path) -> list[str]:
    """A file that was not uploaded whole."""
    path = one(channel, "torchaudio")
    path.write_bytes(path.read_bytes()[:-1000])
    return [path.relative_to(channel).as_posix()]


FORGERIES = (
    metadata,
    pth,
    run_exports,
    extra_package,
    swapped,
    timestamps,
    newer_build,
    label,
    stray,
    metapackage,
    truncated,
)

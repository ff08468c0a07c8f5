"""A bench for templates/build.py: run as rattler-build runs it, on a tiny wheel."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generator.feedstock import Policies
from generator.rendering import render
from generator.rendering.unpacking import FOLDER as UNPACKER
from tests.locks import Shelf, feedstock
from tests.tiny_wheels import TinyWheel

INFO = "torch-9.1.0.dist-info"


@dataclass
class Bench:
    """A rendered recipe folder, a work folder and an empty prefix."""

    root: Path
    package: str = "pytorch"
    wheel: str = ""

    @property
    def prefix(self) -> Path:
        return self.root / "prefix"

    @property
    def site(self) -> Path:
        return self.prefix / "lib" / "python3.11" / "site-packages"

    def run(self, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "error", str(self.root / "_unpack" / "build.py")],
            check=False,
            capture_output=True,
            text=True,
            env={
                "SRC_DIR": str(self.root / "work"),
                "PREFIX": str(self.prefix),
                "RECIPE_DIR": str(self.root / "recipe"),
                "target_platform": "linux-aarch64",
                "PY_VER": "3.11",
                "PATH": os.defpath,
                **environment,
            },
        )

    def manifest(self) -> dict[str, Any]:
        text = (self.prefix / "info" / "armtorch" / "manifest.json").read_text()
        return dict(json.loads(text))

    def replace_wheel(self, content: bytes) -> None:
        """Put another wheel in, and make the layout expect it: only build.py can refuse it."""
        layout_path = self.root / "recipe" / "layout.json"
        layout = json.loads(layout_path.read_text())
        [(sha256, row)] = layout["wheels"].items()
        layout["wheels"] = {hashlib.sha256(content).hexdigest(): row}
        layout_path.write_text(json.dumps(layout))
        (self.root / "work" / self.wheel).write_bytes(content)
        assert sha256


def bench(
    root: Path, tinies: Sequence[TinyWheel], *, package: str = "pytorch", accelerator: str = "cpu"
) -> Bench:
    """Render the recipe of the first wheel's cell and lay out what rattler-build would."""
    shelf = Shelf(root / "wheelhouse")
    cell = shelf.cell("9.1", accelerator, tinies)
    tree = render(feedstock(policies=Policies(maximum_unpacked_ratio=50)), shelf.lock(cell))
    folder = f"recipes/9.1/{package}/"
    for path, content in tree.files.items():
        if path.startswith(f"{UNPACKER}/"):
            place = root / "_unpack" / path.removeprefix(f"{UNPACKER}/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
    (root / "recipe").mkdir()
    (root / "work").mkdir()
    (root / "prefix").mkdir()
    for path, content in tree.files.items():
        if path.startswith(folder):
            (root / "recipe" / path.removeprefix(folder)).write_bytes(content)
    wheel = next(v.wheels[0] for v in tree.variants if v.package == package)
    layout_path = root / "recipe" / "layout.json"
    layout = json.loads(layout_path.read_text())
    layout["wheels"] = {wheel.sha256: layout["wheels"][wheel.sha256]}
    layout_path.write_text(json.dumps(layout))
    place = root / "wheelhouse" / wheel.sha256[:16] / wheel.filename
    (root / "work" / wheel.filename).write_bytes(place.read_bytes())
    return Bench(root, package, wheel.filename)


def record_hash(content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
    return f"sha256={digest.decode()}"


def tree_of(folder: Path) -> dict[str, bytes | str]:
    return {
        path.relative_to(folder).as_posix(): str(path.readlink())
        if path.is_symlink()
        else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }

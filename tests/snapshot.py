"""Writes generator/data/snapshot.yaml from the index that pip asks: ``python -m tests.snapshot``.

Which releases of torch, torchvision and torchaudio have wheels for ARM, by subdir and Python. It
is what `armtorch explain` knows of pip's wheels without a network, with the day it was looked at.
"""

from __future__ import annotations

import datetime as dt
import io
import os
import re
import tempfile
from pathlib import Path
from typing import Any

from packaging.version import Version
from ruamel.yaml import YAML

from generator.atomic import write_text
from generator.datafiles import subdirs
from generator.model.python_build import PythonBuild
from generator.upstream import open_web, read_pip_configuration
from generator.upstream.indexes import SimpleIndex

PATH = Path(__file__).parents[1] / "generator/data/snapshot.yaml"
_PROJECTS = ("torch", "torchvision", "torchaudio")


def main() -> None:
    text = PATH.read_text(encoding="utf-8")
    document = YAML(typ="safe").load(text)
    document["day"] = dt.datetime.now(tz=dt.UTC).date().isoformat()
    with tempfile.TemporaryDirectory() as cache, open_web(Path(cache)) as web:
        pip = read_pip_configuration(os.environ)
        index = SimpleIndex("pypi", pip.indexes[0], web)
        document["wheels"] = {project: _releases(index, project) for project in _PROJECTS}
    yaml = YAML()
    yaml.width, yaml.default_flow_style = 100, None
    stream = io.StringIO()
    yaml.dump(document, stream)
    head = "".join(line for line in text.splitlines(keepends=True) if line.startswith("#"))
    write_text(PATH, head + stream.getvalue())


def _for(platforms: tuple[str, ...], subdir: Any) -> bool:
    wanted = [*subdir.wheel_platforms, "any"]
    return any(re.fullmatch(pattern, each) for pattern in wanted for each in platforms)


def _releases(index: Any, project: str) -> dict[str, dict[str, str]]:
    found: dict[Version, dict[str, set[PythonBuild | None]]] = {}
    for offer in index.offers(project):
        for name, subdir in subdirs().items():
            if offer.version.is_prerelease or not _for(offer.platforms, subdir):
                continue
            try:
                build = offer.python()
            except ValueError:
                continue
            found.setdefault(offer.version, {}).setdefault(name, set()).add(build)
    return {
        str(version): {
            name: " ".join(str(each) for each in sorted(b for b in builds if b)) or "any"
            for name, builds in sorted(found[version].items())
        }
        for version in sorted(found)
    }


if __name__ == "__main__":
    main()

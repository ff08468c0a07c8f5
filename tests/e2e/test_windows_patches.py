"""The text patches of the Windows layout fit upstream's files, which are the same on every system.

No wheel for Windows on ARM can be had here, but cpp_extension.py, torch/utils/__init__.py and the
CMake files that CMake itself writes are in every torch wheel.
"""

from __future__ import annotations

import re
import zipfile

import pytest

from generator.building import place_of
from generator.rendering.layout import layouts
from generator.upstream.reaching import fetch_wheels

pytestmark = pytest.mark.e2e

PATCHES = {
    rule.match[0]: rule.patch
    for rule in layouts().projects["torch"].rules
    if rule.patch is not None and "*" not in rule.match[0]
}


@pytest.fixture(scope="module")
def torches(project, cpu_variants):
    """The torch wheels of the CPU cells, 2.8.0 and 2.10.0."""
    wheels = {v.wheels[0].filename: v.wheels[0] for v in cpu_variants if v.package == "pytorch"}
    fetch_wheels(project, project.declared(), tuple(wheels.values()), jobs=2)
    return [place_of(wheel, project.wheelhouse) for wheel in wheels.values()]


def test_windows_has_patches():
    assert len(PATCHES) == 4


@pytest.mark.parametrize("member", PATCHES)
def test_each_pattern_is_in_the_real_file_once(torches, member):
    patch = PATCHES[member]
    assert len(torches) == 2
    for path in torches:
        with zipfile.ZipFile(path) as wheel:
            text = wheel.read(member).decode()
        assert len(re.findall(patch.pattern, text)) == 1, path.name


def test_patched_python_still_compiles_and_finds_librarys_folders(torches):
    for path in torches:
        with zipfile.ZipFile(path) as wheel:
            for member in ("torch/utils/cpp_extension.py", "torch/utils/__init__.py"):
                patch = PATCHES[member]
                text = wheel.read(member).decode()
                before, after = re.split(patch.pattern, text)
                compile(before + patch.replacement + after, member, "exec")
    place = {"_TORCH_PATH": "/env/Lib/site-packages/torch", "os": __import__("os")}
    exec(PATCHES["torch/utils/cpp_extension.py"].replacement, place)  # noqa: S102
    assert place["TORCH_LIB_PATH"] == "/env/Library/lib"
    utils = {"_osp": __import__("os.path").path, "__file__": "/env/Lib/site-packages/torch/utils/i"}
    cmake = eval(PATCHES["torch/utils/__init__.py"].replacement, utils)  # noqa: S307
    assert cmake == "/env/Library/share/cmake"

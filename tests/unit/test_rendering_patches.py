"""Patches of layout.yaml: where they apply, what for, and the policy row that counts on one."""

from __future__ import annotations

import re

import pytest
from packaging.specifiers import SpecifierSet

from generator.rendering.layout import layouts
from generator.upstream.policy import trio_policy

PATCHES = {
    rule.match[0]: rule.patch
    for layout in layouts().projects.values()
    for rule in layout.rules
    if rule.patch is not None
}
CHECK = """
def _load_lib(lib: str) -> bool:
    return lib != ""


def _check_cuda_version():
    version = torch.ops._torchaudio.cuda_version()
    if version is not None and torch.version.cuda is not None:
        {compare}
            raise RuntimeError("Detected that they were compiled with different CUDA versions.")
    return version


def _other(a, b):
    if a != b:
        raise RuntimeError
"""
#: member -> what it says for which it is patched, in other words than the pattern's; and what not
REASONS = {
    "torchcodec/_internally_replaced_utils.py": (
        ["def _get_extension_path(lib_name: str) -> str:"],
        ["from torchcodec._loading import load_core_libraries"],
    ),
    "torch/share/cmake/ATen/ATenConfig.cmake": (
        [
            'set(ATen_INCLUDE_DIR "/tmp/headers")',
            'set(ATen_INCLUDE_DIR "D:/a/torch/headers")',
        ],
        [
            'set(ATen_INCLUDE_DIR "${CMAKE_CURRENT_LIST_DIR}/../../../include")',
            '# "/tmp/torch/include"',
        ],
    ),
    "torch/share/cmake/Caffe2/Caffe2Targets.cmake": (
        ["foreach(target ${_IMPORT_CHECK_TARGETS} )"],
        ["set(CMAKE_IMPORT_FILE_VERSION 1)\nadd_library(torch SHARED IMPORTED)"],
    ),
    "torch/utils/cpp_extension.py": (
        ["TORCH_LIB_PATH = Path(_TORCH_PATH) / 'lib'"],
        ["_TORCH_PATH = os.path.dirname(os.path.dirname(__file__))"],
    ),
    "torch/utils/__init__.py": (
        ["cmake_prefix_path = Path(__file__).parents[1] / 'share'"],
        ["import weakref"],
    ),
    "torchaudio/_extension/utils.py": (
        [
            CHECK.format(compare="if str(version) != torch.version.cuda:"),
            CHECK.format(compare="if (ta_major, ta_minor) != (t_major, t_minor):"),
            CHECK.format(compare="if not ta_version == t_version:"),
        ],
        [CHECK.format(compare="if ta_major != t_major:"), CHECK.partition("def _check")[0]],
    ),
}


def test_every_patch_has_its_reasons_here():
    assert set(REASONS) == set(PATCHES)


@pytest.mark.parametrize("member", PATCHES)
def test_a_probe_finds_the_reason_and_nothing_else(member):
    probe = PATCHES[member].probe
    reasons, mended = REASONS[member]
    for text in reasons:
        assert re.search(probe, text), text
    for text in mended:
        assert not re.search(probe, text), text


@pytest.mark.parametrize("member", PATCHES)
def test_the_versions_that_were_read_are_named_exactly(member):
    patch = PATCHES[member]
    assert patch.said(f"{patch.read_for[0]}+cu130")["read"] is True
    assert patch.said("99.0")["read"] is False


def test_torchaudios_patch_and_its_policy_row_go_together() -> None:
    # a row that admits more CUDA lines than the wheel imports beside needs the patch there
    (row,) = [
        row
        for row in trio_policy().companions
        if row.project == "torchaudio" and "linux-aarch64" in row.subdirs
    ]
    (rule,) = [rule for rule in layouts().projects["torchaudio"].rules if rule.patch]
    assert rule.cuda is not None
    lines = [f"{major}.{minor}" for major in (12, 13, 14) for minor in range(10)]
    admitted = {line for line in lines if line in SpecifierSet(row.cuda)}
    patched = {line for line in admitted if line in SpecifierSet(rule.cuda)}
    assert admitted - patched == {"13.0"}
    versions = [f"2.{minor}.{micro}" for minor in range(9, 14) for micro in range(3)]
    assert set(SpecifierSet(row.versions).filter(versions)) <= set(
        SpecifierSet(rule.versions).filter(versions)
    )

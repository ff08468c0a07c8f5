"""Patches of layout.yaml: where they apply, and the policy row that counts on one."""

from __future__ import annotations

from packaging.specifiers import SpecifierSet

from generator.rendering.layout import layouts
from generator.upstream.policy import trio_policy


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
    assert rule.versions == row.versions

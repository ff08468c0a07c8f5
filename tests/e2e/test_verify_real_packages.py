"""`armtorch verify` on packages of the real wheels: proven, and one changed byte of them found."""

from __future__ import annotations

import json
import random
import subprocess
import sys

import pytest

from generator.building import place_of
from generator.inspecting import Evidence, verify_package
from generator.inspecting.proving import VerifyOptions, find_packages, verify_packages
from tests.conftest import ROOT
from tests.counts import count
from tests.packages import Parts

pytestmark = [pytest.mark.e2e]


def test_every_package_of_the_channel_is_proven_by_record(project, cpu_channel):
    packages = find_packages([str(cpu_channel.root)])
    assert len(packages) > 10
    for proof in verify_packages(project, packages, VerifyOptions()):
        assert not proof.flaws, proof.flaws[:3]
        assert proof.verdict == "proven"
        assert proof.recipe == "the lock's"
        assert proof.binaries.share == 1.0


def test_a_wheel_at_hand_bears_witness_to_the_record(project, cpu_channel, cpu_variants):
    packages = find_packages([str(cpu_channel.root / "linux-aarch64")])
    wheels = {wheel.sha256: wheel for variant in cpu_variants for wheel in variant.wheels}
    paths = tuple(place_of(wheel, project.wheelhouse) for wheel in wheels.values())
    proofs = list(verify_packages(project, packages, VerifyOptions(wheels=paths)))
    assert {proof.verdict for proof in proofs} == {"proven"}
    assert not [flaw for proof in proofs for flaw in proof.flaws]


def test_without_the_lock_the_verdict_is_weaker_and_has_a_code_of_its_own(cpu_channel, tmp_path):
    package = next(cpu_channel.root.glob("linux-aarch64/torchaudio-2.10*.conda"))
    for options, code, verdict in (
        ([], 18, "self-consistent"),
        (["--record-sha256", record_sha256(package)], 18, "self-consistent"),
        (["--record-sha256", "0" * 64], 16, "refuted"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "generator", "-q", "verify", str(package), "--json", *options],
            check=False,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
        )
        assert (done.returncode, json.loads(done.stdout)[0]["verdict"]) == (code, verdict)


def record_sha256(package) -> str:
    manifest = Parts.read(package).json("info/armtorch/manifest.json")
    return str(manifest["source"]["record_sha256"])


def test_changed_bytes_of_a_real_pytorch_are_found_and_named(cpu_channel, tmp_path):
    path = next(cpu_channel.root.glob("linux-aarch64/pytorch-2.10*.conda"))
    witness, chance = Evidence(records={"given": record_sha256(path)}), random.Random(8)
    parts = Parts.read(path)
    files = [name for name, content in parts.payload.items() if isinstance(content, bytes)]
    for number in range(max(2, count("changes") // 20)):
        name = chance.choice([name for name in files if parts.payload[name]])
        sound, info = parts.file(name), dict(parts.info)
        place = chance.randrange(len(sound))
        changed = bytes([sound[place] ^ (1 << chance.randrange(8))])
        parts.payload[name] = sound[:place] + changed + sound[place + 1 :]
        if number % 2:
            parts.adjust(name)
        proof = verify_package(parts.write(tmp_path), lambda _: witness)
        assert proof.verdict == "refuted"
        assert name in {flaw.file for flaw in proof.flaws}
        parts.payload[name], parts.info = sound, info

"""Which torchvision and torchaudio belong to a torch, on upstream's own words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from generator.datafiles import subdirs
from generator.errors import MalformedError, NoTrioError
from generator.lock import read_lock
from generator.model import Accelerator, Cell, Lock, PythonBuild
from generator.updating.catalogue import Release
from generator.updating.targets import accelerator_of, active, environment
from generator.updating.trio import TorchChoice, companions, judge
from generator.upstream.policy import trio_policy
from tests.own_feedstock import LOCK

POLICY = trio_policy()
#: what METADATA of the real wheels says about torch, newest first (None: nothing at all)
VISION = {
    "0.29.2": "torch>=2.14.0",
    "0.29.1": "torch>=2.14.0",
    "0.28.0": "torch==2.13.0",
    "0.26.0": "torch==2.11.0",
    "0.25.0": "torch==2.10.0",
    "0.23.0": "torch==2.8.0",
}
AUDIO = {"2.11.0": None, "2.10.0": "torch==2.10.0", "2.8.0": "torch==2.8.0"}


def solve(
    project: str,
    said: Mapping[str, str | None],
    torch: str,
    subdir: str,
    accelerator: str,
    *,
    asked: list[str] | None = None,
) -> str:
    choice = TorchChoice(
        version=Version(torch), subdir=subdir, accelerator=Accelerator.parse(accelerator)
    )

    def requirements(release: Release) -> tuple[Requirement, ...]:
        if asked is not None:
            asked.append(str(release))
        text = said[str(release)]
        return (Requirement("numpy"), Requirement(text)) if text else ()

    releases = [Release(Version(text)) for text in said]
    return str(next(companions(project, releases, choice, POLICY.companions, requirements)))


@pytest.mark.parametrize(
    ("torch", "subdir", "accelerator", "vision", "audio"),
    [
        ("2.10.0", "linux-aarch64", "cpu", "0.25.0", "2.10.0"),
        ("2.14.1", "linux-aarch64", "cuda130", "0.29.2", "2.11.0"),
        ("2.8.0", "linux-aarch64", "cpu", "0.23.0", "2.8.0"),
        ("2.15.0", "linux-aarch64", "cuda132", "0.29.2", "2.11.0"),
        ("2.15.0", "osx-arm64", "cpu", "0.29.2", "2.11.0"),
    ],
)
def test_the_trios_that_were_seen_to_work(
    torch: str, subdir: str, accelerator: str, vision: str, audio: str
) -> None:
    assert solve("torchvision", VISION, torch, subdir, accelerator) == vision
    assert solve("torchaudio", AUDIO, torch, subdir, accelerator) == audio


def test_torchaudio_of_another_cuda_is_refused_with_its_evidence() -> None:
    with pytest.raises(NoTrioError) as caught:
        solve("torchaudio", AUDIO, "2.15.0", "linux-aarch64", "cuda126")
    assert caught.value.exit_code == 15
    assert "needs CUDA ==13.*, torch 2.15.0 has 12.6" in caught.value.what
    assert "_check_cuda_version" in caught.value.what


def test_a_cuda_torchvision_is_never_put_beside_a_cpu_torch() -> None:
    with pytest.raises(NoTrioError, match="needs a CUDA build of torch"):
        solve("torchvision", {"0.29.2": "torch>=2.14.0"}, "2.15.0", "linux-aarch64", "cpu")


def test_silence_admits_the_torches_of_its_number_and_later_ones() -> None:
    for torch in ("2.12.0", "2.12.1", "2.15.0"):
        assert solve("torchaudio", {"2.12.0": None}, torch, "osx-arm64", "cpu") == "2.12.0"
    with pytest.raises(NoTrioError, match="does not say which torch it needs"):
        solve("torchaudio", {"2.12.0": None}, "2.11.1", "osx-arm64", "cpu")


def test_no_wheel_at_all_is_no_trio() -> None:
    with pytest.raises(NoTrioError, match="no wheel of torchaudio fits"):
        solve("torchaudio", {}, "2.15.0", "osx-arm64", "cpu")


def test_versions_that_pin_older_torches_are_not_read() -> None:
    asked: list[str] = []
    with pytest.raises(NoTrioError):
        solve("torchaudio", AUDIO, "2.15.0", "linux-aarch64", "cpu", asked=asked)
    assert asked == ["2.11.0", "2.10.0"]


def test_a_lock_has_no_combination_that_cannot_import() -> None:
    lock = read_lock(LOCK)
    judged = 0
    for cell in lock.cells:
        choice = TorchChoice(
            version=Version(cell.torch), subdir=cell.subdir, accelerator=cell.accelerator
        )
        for wheel in cell.wheels:
            python = wheel.python or cell.pythons()[0]
            target = environment(subdirs()[cell.subdir], python)
            said = active(lock.metadata[wheel.metadata].requires_dist, target)
            if wheel.project == "torch":
                found = accelerator_of(said, POLICY.cuda_requirements, wheel.filename)
                assert found == cell.accelerator, wheel.filename
            elif wheel.project in cell.fill:
                (asked,) = [r for r in _torch_of(cell, lock) if r.name == wheel.project]
                assert asked.specifier.contains(wheel.version), wheel.filename
            else:
                verdict = judge(
                    wheel.project, Release(Version(wheel.version)), said, choice, POLICY.companions
                )
                assert verdict.refusal is None, wheel.filename
            judged += 1
    assert judged > 0


def _torch_of(cell: Cell, lock: Lock) -> Sequence[Requirement]:
    wheel = cell.wheels_of("torch")[0]
    assert wheel.python is not None
    target = environment(subdirs()[cell.subdir], wheel.python)
    return active(lock.metadata[wheel.metadata].requires_dist, target)


def requirements(*texts: str, subdir: str = "linux-aarch64") -> Sequence[Requirement]:
    return active(texts, environment(subdirs()[subdir], PythonBuild(3, 12)))


@pytest.mark.parametrize(
    ("texts", "accelerator"),
    [
        (
            [
                "cuda-toolkit[cublas,cudart]==13.2.2; platform_system == 'Linux'",
                "nvidia-cudnn-cu13==9.26.0.51; platform_system == 'Linux'",
            ],
            "cuda132",
        ),
        (["nvidia-cublas-cu12==12.8.4.1", "nvidia-cuda-runtime-cu12==12.8.90"], "cuda128"),
        (["nvidia-cuda-runtime==13.0.*"], "cuda130"),
        (["filelock", "sympy>=1.13.3"], "cpu"),
        (["nvidia-cuda-runtime-cu12==12.8.90; platform_machine == 'x86_64'"], "cpu"),
        (["optree>=0.13; extra == 'optree'"], "cpu"),
    ],
)
def test_the_accelerator_is_read_from_requirements_active_on_the_target(
    texts: list[str], accelerator: str
) -> None:
    found = accelerator_of(requirements(*texts), POLICY.cuda_requirements, "w")
    assert str(found) == accelerator


def test_the_same_wheel_text_is_cpu_on_macos() -> None:
    found = requirements("cuda-toolkit==13.2.2; platform_system == 'Linux'", subdir="osx-arm64")
    assert accelerator_of(found, POLICY.cuda_requirements, "w") == Accelerator()


def test_cuda_without_a_version_is_never_guessed() -> None:
    with pytest.raises(MalformedError, match="nothing says which CUDA"):
        accelerator_of(requirements("nvidia-cudnn-cu13==9.26"), POLICY.cuda_requirements, "w")


def test_what_torch_itself_requires_of_a_companion_counts() -> None:
    choice = TorchChoice(
        version=Version("2.10.0"),
        subdir="linux-aarch64",
        accelerator=Accelerator(),
        requires=(Requirement("torchvision==0.24.0"),),
    )
    releases = [Release(Version("0.25.0")), Release(Version("0.24.0"))]

    def solved(pins: dict[str, str]) -> Release:
        found = companions(
            "torchvision",
            releases,
            choice,
            POLICY.companions,
            lambda release: (Requirement(pins[str(release)]),),
        )
        return next(found)

    agreed = {"0.25.0": "torch==2.10.0", "0.24.0": "torch==2.10.0"}
    assert str(solved(agreed)) == "0.24.0"
    with pytest.raises(NoTrioError, match=r"requires torchvision==0\.24\.0, not 0\.25\.0"):
        solved(agreed | {"0.24.0": "torch==2.9.0"})


@pytest.mark.parametrize("pin", ["13.99", "130.0", "9.2"])
def test_a_cuda_line_that_has_no_name_is_malformed(pin: str) -> None:
    with pytest.raises(MalformedError, match="there is no such line"):
        accelerator_of(
            (Requirement(f"cuda-toolkit[cudart]=={pin}"),), POLICY.cuda_requirements, "torch"
        )

"""What names and indexes say about the accelerator of a wheel, and who may be what."""

from __future__ import annotations

import pytest
from packaging.version import Version

from generator.feedstock import IndexSource
from generator.model.accelerator import accelerator_of_label
from generator.upstream.claims import Claims, claims_of, may_be
from generator.upstream.silence import Silence

ARM, MAC = ("manylinux_2_28_aarch64",), ("macosx_14_0_arm64",)
WHL = "https://download.pytorch.org/whl"


def pytorch(sub: str) -> Claims:
    return claims_of("i", IndexSource(kind="pytorch", url=f"{WHL}/{sub}"))


@pytest.mark.parametrize(
    ("claims", "version", "platforms", "claim"),
    [
        (pytorch("cu130"), "2.15.0+cu130", ARM, "cuda130"),
        (pytorch("nightly/cu130/"), "2.16.0.dev20261121+cu130", ARM, "cuda130"),
        (pytorch("test/cpu"), "2.15.0+cpu", ARM, "cpu"),
        (pytorch("cpu"), "2.15.0", MAC, "cpu"),
        (Claims(), "2.15.0", ARM, ""),
        (Claims(), "2.15.0+cu126", ARM, "cuda126"),
        (Claims(accelerator="cuda126-tegra"), "2.8.0", ("linux_aarch64",), "cuda126-tegra"),
        (Claims(accelerator="cuda-tegra"), "2.8.0+cu126", ARM, "cuda126-tegra"),
        (Claims(accelerator="cuda-tegra"), "2.8.0", ARM, "cuda-tegra"),
        (Claims(accelerator="cpu", local_versions=("cpu", "df56172")), "1+df56172", ARM, "cpu"),
    ],
)
def test_what_a_wheel_is_said_to_be(
    claims: Claims, version: str, platforms: tuple[str, ...], claim: str
) -> None:
    assert claims.of(Version(version), platforms) == claim


@pytest.mark.parametrize(
    ("claims", "version", "why"),
    [
        (pytorch("cu132"), "2.2.0", "no local version"),
        (pytorch("cpu"), "2.15.0+cu130", "is for \\+cpu"),
        (pytorch("cpu"), "0.27.1+df56172", "\\+df56172"),
        (Claims(), "0.27.1+df56172", "names no accelerator"),
        (Claims(accelerator="cpu"), "2.15.0+cu130", "is for cpu"),
        (Claims(accelerator="cuda130"), "2.15.0+cu126", "is for cuda130"),
        (Claims(accelerator="cuda-tegra"), "2.15.0+cpu", "is for cuda-tegra"),
        (Claims(), "2.5.0+rocm6.2", "names no accelerator"),
    ],
)
def test_what_does_not_belong_to_an_index_says_why(claims: Claims, version: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        claims.of(Version(version), ARM)


@pytest.mark.parametrize(
    ("claim", "wishes"),
    [
        ("", {"cpu", "cuda", "cuda130"}),
        ("cpu", {"cpu"}),
        ("cuda", {"cuda", "cuda130"}),
        ("cuda130", {"cuda", "cuda130"}),
        ("cuda126", {"cuda"}),
        ("cuda-tegra", {"cuda126-tegra"}),
        ("cuda126-tegra", {"cuda126-tegra"}),
        ("cuda128-tegra", set()),
    ],
)
def test_a_claim_may_be_what_is_wished_for(claim: str, wishes: set[str]) -> None:
    every = {"cpu", "cuda", "cuda130", "cuda126-tegra"}
    assert {wish for wish in every if may_be(claim, wish)} == wishes


def test_labels_are_upstreams() -> None:
    labels = ("cpu", "cu126", "cu134", "cu12", "rocm6.2", "xpu", "df56172", "cu130.with")
    assert [accelerator_of_label(label) for label in labels] == [
        "cpu", "cuda126", "cuda134", None, None, None, None, None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("claims", "serves", "not_at_all"),
    [
        (pytorch("cpu"), ("cpu", "win-arm64"), ("cpu", "linux-armv7l")),
        (pytorch("cu130"), ("cuda130", "linux-aarch64"), ("cuda130", "win-arm64")),
        (pytorch("cu*"), ("cuda126", "linux-aarch64"), ("cpu", "linux-aarch64")),
        (Claims(), ("cuda130", "linux-aarch64"), ("cuda126-tegra", "linux-aarch64")),
        (Claims(accelerator="cuda", subdirs=("win-arm64",)), ("cuda", "win-arm64"),
         ("cuda", "linux-aarch64")),
    ],
)  # fmt: skip
def test_an_index_is_missed_by_what_it_could_serve_alone(
    claims: Claims, serves: tuple[str, str], not_at_all: tuple[str, str]
) -> None:
    assert claims.may_have(*serves)
    assert not claims.may_have(*not_at_all)


@pytest.mark.parametrize(
    ("declared", "name", "found"),
    [
        ("whl-cu*", "whl-cu130", True),
        ("whl-cu*", "whl-cpu", False),
        ("whl-cu*", "test-cu130", False),
        ("whl-cpu", "whl-cpu", True),
        ("whl-cpu", "whl-cpu-2", False),
    ],
)
def test_a_starred_name_stands_for_its_lines(declared: str, name: str, found: bool) -> None:
    assert Silence(declared, Claims(), None).is_of(name) is found

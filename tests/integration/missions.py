"""All of upstream's indexes for ARM on this machine, and the declaration that reads them.

The rows are those of pytorch/test-infra and of public locks (August to November 2026): which index
has which Pythons, versions and accelerators; the wheels are synthetic.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

from generator.project import Project
from tests.integration import index_worlds
from tests.integration.index_worlds import World
from tests.integration.runnable import PYTHON, runnable
from tests.integration.test_update_formats import quiet
from tests.integration.test_update_members import SAME
from tests.synthetic_wheels import TinyWheel

DECLARED = """\
indexes:
  pypi: {kind: pip}
  whl-cpu: {kind: pytorch, url: "{root}/whl/cpu", local_versions: [cpu, df56172]}
  whl-cu*: {kind: pytorch, url: "{root}/whl/cu*"}
  test-cpu: {kind: pytorch, url: "{root}/whl/test/cpu"}
  test-cu*: {kind: pytorch, url: "{root}/whl/test/cu*"}
  nightly-cpu: {kind: pytorch, url: "{root}/whl/nightly/cpu"}
  nightly-cu*: {kind: pytorch, url: "{root}/whl/nightly/cu*"}
  jetson-6: {kind: devpi, url: "{root}/jp6/cu126", accelerator: cuda126-tegra, glibc: "2.35",
    subdirs: [linux-aarch64]}
  jetson-sbsa: {kind: devpi, url: "{root}/sbsa/cu130", accelerator: cuda130, glibc: "2.39",
    subdirs: [linux-aarch64]}
  jetson-7: {kind: devpi, url: "{root}/jp7/cu132", accelerator: cuda132, glibc: "2.39",
    subdirs: [linux-aarch64]}
  nvidia-windows: {kind: simple, url: "{root}/nvtorch_oot", accelerator: cuda,
    subdirs: [win-arm64]}
trains:
  stable:
    keep: [newest, newest-complete]
    indexes: [pypi, whl-cpu, whl-cu*, jetson-6, jetson-sbsa, jetson-7, nvidia-windows]
  rc: {indexes: [test-cpu, test-cu*]}
  nightly: {indexes: [nightly-cpu, nightly-cu*]}
subdirs:
  linux-aarch64: {accelerators: [cpu, "cuda*", cuda126-tegra]}
  osx-arm64: {accelerators: [cpu]}
  win-arm64: {accelerators: [cpu, cuda]}
"""
NEWEST = ("2.15.0", "0.30.0", "2.11.0")
CANDIDATE = ("2.16.0", "0.31.0", "2.11.0")
DEV = ("2.17.0.dev20261120", "0.32.0.dev20261120", "2.11.0")
LINES = ("cu126", "cu130", "cu132")
TORCH, VISION = "torch", "torchvision"
WINDOWS_PYTHONS = ("cp311", "cp312", "cp313")
trio = partial(index_worlds.trio, pythons=(PYTHON,))
#: the cells that the issue of a channel for ARM is about, and what each is made of
CELLS = {
    "2.15/linux-aarch64/cpu": "2.15.0",
    "2.15/linux-aarch64/cuda126": "2.15.0",
    "2.15/linux-aarch64/cuda130": "2.15.0",
    "2.15/linux-aarch64/cuda132": "2.15.0",
    "2.8/linux-aarch64/cuda126-tegra": "2.8.0",
    "2.15/osx-arm64/cpu": "2.15.0",
    "2.13/win-arm64/cpu": "2.13.0",
    "2.14/win-arm64/cuda134": "2.14.0",
    **{
        f"{train}/{place}": version
        for train, version in (("rc", "2.16.0"), ("nightly", "2.17.0.dev20261120"))
        for place in (
            *(f"linux-aarch64/{a}" for a in ("cpu", "cuda126", "cuda130", "cuda132")),
            "osx-arm64/cpu",
            "win-arm64/cpu",
        )
    },
}


#: what answers no more -> the cells that are of it and stay
DOWN = {
    "/simple/.*": "pypi",
    "/whl/cpu/.*": "whl-cpu",
    "/whl/torch/": "whl-cu*",
    "/whl/cu126/.*": "whl-cu126",
    "/whl/cu130/.*": "whl-cu130",
    "/whl/cu132/.*": "whl-cu132",
    "/whl/test/cpu/.*": "test-cpu",
    "/whl/test/torch/": "test-cu*",
    "/whl/nightly/cpu/.*": "nightly-cpu",
    "/whl/nightly/torch/": "nightly-cu*",
    "/jp6/.*": "jetson-6",
    "/sbsa/.*": "jetson-sbsa",
    "/jp7/.*": "jetson-7",
    "/nvtorch_oot/.*": "nvidia-windows",
    "/(whl|jp6|sbsa|jp7|nvtorch_oot)/.*": "all but pypi",
}
COMMANDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "conda install pytorch torchvision torchaudio cpuonly -c CHANNEL": (("cpuonly",), ()),
    "conda install pytorch torchvision torchaudio -c CHANNEL": ((), ()),
    "conda install pytorch torchvision torchaudio -c CHANNEL/label/nightly -c CHANNEL": (
        (),
        ("label/nightly",),
    ),
    "conda install pytorch torchvision torchaudio -c CHANNEL/label/rc -c CHANNEL": (
        (),
        ("label/rc",),
    ),
}
#: conda-forge's, and one that has what wheels for Windows on ARM are for
WINDOWS_BASES = {"Python 3.14 alone": ("3.14",), "Python 3.11 to 3.13": ("3.11", "3.12", "3.13")}
#: machine -> its virtual packages
MACHINES: dict[str, tuple[str, ...]] = {
    "linux-aarch64": ("__glibc=2.39",),
    "linux-aarch64 with CUDA 13.2": ("__glibc=2.39", "__cuda=13.2"),
    "linux-armv7l": ("__glibc=2.39",),
    "osx-arm64": ("__osx=15.0",),
    **{f"win-arm64, base with {name}": () for name in WINDOWS_BASES},
    "win-arm64 with CUDA 13.4, base with Python 3.11 to 3.13": ("__cuda=13.4",),
}


def silent(wheels: Iterable[TinyWheel]) -> list[TinyWheel]:
    """As torchaudio 2.11 is: it says nothing of torch (stable ABI) and looks at CUDA at import."""
    check = {"torchaudio/_extension/utils.py": SAME.encode()}
    return [
        replace(w, requires=(), members={**w.members, **check}) if w.project == "torchaudio" else w
        for w in wheels
    ]


def of(wheels: Iterable[TinyWheel], *projects: str) -> list[TinyWheel]:
    return [wheel for wheel in wheels if wheel.project in projects]


def fill(upstream: World, module: bytes = b"") -> None:
    """Upload a wheel for every row; with a ``torch._C`` those for linux-aarch64 can be imported."""
    upstream.devpi.users = ("jp6", "sbsa", "jp7")

    def put(sub: str, *wheels: TinyWheel) -> None:
        upstream.put(sub, *(runnable(wheel, module) for wheel in wheels))

    put("pypi", *trio("2.10.0", "0.25.0", "2.10.0"))
    put("pypi", *silent(trio(*NEWEST, subdir="osx-arm64")))
    put("pypi", *silent(trio(*NEWEST, accelerator="cuda132")))
    put("whl/cpu", *silent(trio(*NEWEST, label="cpu")), *silent(trio(*NEWEST, subdir="osx-arm64")))
    windows = partial(trio, subdir="win-arm64", pythons=WINDOWS_PYTHONS)
    put("whl/cpu", *silent(windows("2.13.0", "0.28.0", "2.11.0", label="cpu")))
    put("whl", *trio("2.98.0", "0.98.0", "2.98.0", tag="manylinux2014_aarch64"))
    for label in LINES:
        facts = {"label": label, "accelerator": f"cuda{label[2:]}"}
        put(f"whl/{label}", *silent(trio(*NEWEST, **facts)))
        put(f"whl/test/{label}", *silent(trio(*CANDIDATE, **facts)))
        put(f"whl/nightly/{label}", *of(trio(*DEV, **facts), TORCH, VISION))
    for subdir in ("linux-aarch64", "osx-arm64", "win-arm64"):
        label = "" if subdir.startswith("osx") else "cpu"
        put("whl/test/cpu", *silent(trio(*CANDIDATE, label=label, subdir=subdir)))
        put("whl/nightly/cpu", *of(trio(*DEV, label=label, subdir=subdir), TORCH, VISION))
    newer = trio(*CANDIDATE, label="cpu", pythons=("cp315",))
    put("whl/test/cpu", *of(newer, TORCH))
    tegra = trio("2.8.0", "0.23.0", "2.8.0", accelerator="cuda126-tegra", tag="linux_aarch64")
    put("jp6/cu126", *map(quiet, tegra))
    sbsa = trio("2.9.0", "0.24.0", "2.9.0", accelerator="cuda130", tag="linux_aarch64")
    put("sbsa/cu130", *map(quiet, sbsa))
    jp7 = trio("2.14.0", "0.29.0", "2.11.0", accelerator="cuda132", tag="linux_aarch64")
    put("jp7/cu132", *map(quiet, of(jp7, TORCH)))
    facts = {"label": "cu134", "accelerator": "cuda134", "subdir": "win-arm64"}
    put("nvtorch_oot", *silent(trio("2.14.0", "0.29.0", "2.11.0", **facts)))


def project_of(upstream: World) -> Project:
    """The declaration, for every Python that upstream serves."""
    project = upstream.project(DECLARED)
    text = project.feedstock.read_text(encoding="utf-8")
    project.feedstock.write_text(text.replace('pythons: ["3.12"]', "pythons: all"))
    return project


def is_of(name: str, index: str) -> bool:
    """Whether an index is one of those that DOWN calls by a name."""
    if name == "all but pypi":
        return index != "pypi"
    return index.startswith(name.removesuffix("*")) if name.endswith("*") else index == name

"""What the solver does about companions: ours, the base channel's, none; pure packages, too."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from rattler import Gateway, RepoDataRecord

from generator.datafiles import subdirs
from generator.rendering import render, tree_records
from generator.stages.update import update_lock
from generator.testing import Machine, Priority, solve, write_record_channel
from generator.testing.record_channel import NamedRecord
from tests.command_line import armtorch
from tests.forge import standins
from tests.integration.index_worlds import trio, world
from tests.synthetic_wheels import Release, TinyWheel
from tests.unit.binaries import elf

pytestmark = pytest.mark.integration

Solved = Callable[..., Mapping[str, RepoDataRecord]]
SOUND = ["torchaudio", "python=3.12"]
CHOICE = "torchaudio-torchcodec"
FEEDSTOCK = """\
indexes:
  pypi: {kind: pip}
  whl-cpu: {kind: pytorch, url: "{root}/whl/cpu"}
trains: {stable: {keep: [newest], indexes: [pypi, whl-cpu]}}
subdirs: {linux-aarch64: {accelerators: [cpu, cuda], base: [conda-forge]}}
companions: [torchcodec]
"""
#: what torchcodec's libraries for CUDA ask of torch's, and a torch for a CPU has not
CUDA_LIBRARY, STREAM = "libtorch_cuda.so", "aoti_torch_get_current_cuda_stream"
CUDA_STREAMS = {
    "torch": {f"torch/lib/{CUDA_LIBRARY}": elf(["libtorch_cpu.so", "libc.so.6"], defines=[STREAM])}
}


def record(name: str, version: str, build: str, depends: list[str], **more: str) -> NamedRecord:
    """A package without files."""
    subdir = more.get("subdir", "linux-aarch64")
    row = {"name": name, "version": version, "build": build, "build_number": 0, "subdir": subdir}
    row |= {"depends": depends, "constrains": [], "sha256": f"{hash((name, build)) % 2**256:064x}"}
    if subdir == "noarch":
        row["noarch"] = "python"
    return f"{name}-{version}-{build}.conda", row


def torchcodec_of_base(version: str, torch: str, following: str) -> NamedRecord:
    """As conda-forge's for a CPU (torchcodec-feedstock, recipe.yaml, and what its host exports)."""
    bounds = f">={torch},<{following}.0a0"
    depends = ["python >=3.12,<3.13.0a0", "python_abi 3.12.* *_cp312", f"pytorch {bounds}"]
    depends += [f"libtorch {bounds}", "pytorch * cpu*", "ffmpeg >=8.0.1,<9.0a0"]
    return record("torchcodec", version, "cpu_py312_h1234567_0", depends)


NEWEST = Release(subdir="linux-aarch64", torch="2.15.0", torchvision="0.29.2", torchaudio="2.15.0")
FFMPEG = record("ffmpeg", "8.0.1", "lgpl_h1234567_0", [])


@pytest.fixture(scope="module")
def rendered(project) -> list[NamedRecord]:
    return list(tree_records(render(project.declared(), project.locked())).values())


@pytest.fixture(scope="module")
def solved(rendered, tmp_path_factory) -> Solved:
    """Solve for a machine, with more on our channel and on the base's."""
    gateway = Gateway()
    base = standins.write(tmp_path_factory.mktemp("base"))

    def run(
        specs: list[str],
        *,
        channel: list[NamedRecord] = rendered,
        ours: tuple[NamedRecord, ...] = (),
        others: tuple[NamedRecord, ...] = (),
        subdir: str = "linux-aarch64",
        virtual: tuple[str, ...] = ("__glibc=2.39",),
        priority: Priority = "strict",
    ) -> Mapping[str, RepoDataRecord]:
        folder = tmp_path_factory.mktemp("channels")
        channels = [
            write_record_channel([*channel, *ours], folder / "ours"),
            write_record_channel(others, folder / "others"),
            base,
        ]
        machine = Machine.of(subdirs()[subdir], native=False, added=virtual)
        found = solve(specs, channels=channels, machine=machine, priority=priority, gateway=gateway)
        return {each.name.normalized: each for each in found}

    return run


def where(found: RepoDataRecord) -> str:
    return Path(str(found.channel).rstrip("/")).name


def test_a_channel_without_torchcodec_has_a_torchaudio_all_the_same(solved: Solved) -> None:
    found = solved([*SOUND, "cpuonly"])
    assert str(found[CHOICE].build).startswith("without_")
    assert "torchcodec" not in found


def test_the_cpu_cell_takes_the_base_channels_torchcodec(solved: Solved) -> None:
    others = (FFMPEG, torchcodec_of_base("0.10.0", "2.10.0", "2.11"))
    found = solved([*SOUND, "cpuonly"], others=others)
    assert str(found[CHOICE].build).startswith("with_")
    assert where(found["torchcodec"]) == "others"
    assert (where(found["pytorch"]), str(found["pytorch"].version)) == ("ours", "2.10.0")


@pytest.mark.parametrize(
    ("others", "python"),
    [
        # for another torch
        ((FFMPEG, torchcodec_of_base("0.14.0", "2.12.0", "2.13")), "3.12"),
        # for another Python
        ((FFMPEG, torchcodec_of_base("0.10.0", "2.10.0", "2.11")), "3.13"),
        # whose FFmpeg nobody has
        ((torchcodec_of_base("0.10.0", "2.10.0", "2.11"),), "3.12"),
    ],
)
def test_one_that_does_not_go_with_it_changes_nothing(solved: Solved, others, python) -> None:
    plain = solved(["torchaudio", "cpuonly", f"python={python}"])
    found = solved(["torchaudio", "cpuonly", f"python={python}"], others=others)
    assert {name: str(each.build) for name, each in found.items()} == {
        name: str(each.build) for name, each in plain.items()
    }


def test_ours_goes_before_the_base_channels_where_there_is_one(rendered, solved: Solved) -> None:
    (audio,) = (
        row
        for _, row in rendered
        if row["name"] == "torchaudio"
        and row["version"] == "2.10.0"
        and "python_abi 3.12.* *_cp312" in row["depends"]
    )
    depends = [spec for spec in audio["depends"] if spec != CHOICE]
    ours = record("torchcodec", "0.13.0", "cpu_py312_h7654321_0", [*depends, "ffmpeg >=8,<9"])
    others = (FFMPEG, torchcodec_of_base("0.10.0", "2.10.0", "2.11"))
    found = solved([*SOUND, "cpuonly"], ours=(ours,), others=others)
    assert where(found["torchcodec"]) == "ours"


@pytest.fixture(scope="module", params=[False, True], ids=["whl-cpu is silent", "it answers"])
def upstream(request, tmp_path_factory) -> tuple[bool, list[NamedRecord]]:
    """What a channel has whose torchcodec is PyPI's, for CUDA alone, and whl/cpu's."""
    answers: bool = request.param
    with world(tmp_path_factory.mktemp("world")) as indexes:
        for_cuda = replace(NEWEST, accelerator="cuda130", extra=CUDA_STREAMS)
        for_cpu = replace(NEWEST, local="cpu")
        indexes.put("pypi", *trio("2.10.0", "0.25.0", "2.10.0"), *for_cuda.wheels(["cp312"]))
        indexes.put("pypi", codec("0.17.0", [CUDA_LIBRARY], [STREAM]))
        if answers:
            indexes.put("whl/cpu", *for_cpu.wheels(["cp312"]), codec("0.17.0+cpu", [], []))
        project = indexes.project(FEEDSTOCK)
        update_lock(project)
        return answers, list(tree_records(render(project.declared(), project.locked())).values())


def codec(version: str, needs: list[str], symbols: list[str]) -> TinyWheel:
    """A torchcodec for one Python; what it has for another major of FFmpeg is not packaged."""
    kinds = ("core8", "custom_ops8", "pybind_ops", "image")
    library = elf(["libtorch_cpu.so", *needs, "libc.so.6"], asks=dict.fromkeys(symbols, ""))
    other = elf(["libtorch_cpu.so", "libc.so.6"], asks={"aoti_torch_of_no_release": ""})
    return TinyWheel(
        project="torchcodec",
        version=version,
        tag="cp312-cp312-manylinux_2_28_aarch64",
        members={
            **{f"torchcodec/libtorchcodec_{kind}.so": library for kind in kinds},
            "torchcodec/libtorchcodec_core7.so": other,
        },
    )


@pytest.mark.parametrize("priority", ["strict", "flexible"])
@pytest.mark.parametrize("wanted", [[*SOUND, "cpuonly"], SOUND], ids=["cpuonly", "no GPU"])
def test_the_cpu_cell_has_whl_cpus_torchcodec_or_the_base_channels(
    upstream, solved: Solved, wanted: list[str], priority: Priority
) -> None:
    answers, ours = upstream
    others = (FFMPEG, torchcodec_of_base("0.10.0", "2.10.0", "2.11"))
    found = solved(wanted, channel=ours, others=others, priority=priority)
    place, torch = ("ours", "2.15.0") if answers else ("others", "2.10.0")
    assert str(found[CHOICE].build).startswith("with_")
    assert where(found["torchcodec"]) == place
    assert (where(found["pytorch"]), str(found["pytorch"].version)) == ("ours", torch)
    assert str(found["pytorch"].build).startswith("cpu_generic_")


@pytest.mark.parametrize("priority", ["strict", "flexible"])
@pytest.mark.parametrize("wanted", [SOUND, [*SOUND, "pytorch-gpu"]], ids=["a GPU", "pytorch-gpu"])
def test_the_cuda_cell_has_its_own_under_a_name_that_hides_nothing_the_cpu_cell_needs(
    upstream, solved: Solved, wanted: list[str], priority: Priority
) -> None:
    answers, ours = upstream
    others = (FFMPEG, torchcodec_of_base("0.10.0", "2.10.0", "2.11"))
    virtual = ("__glibc=2.39", "__cuda=13.2")
    found = solved(wanted, channel=ours, others=others, virtual=virtual, priority=priority)
    name, other = ("torchcodec", "torchcodec-cuda")[:: 1 if answers else -1]
    assert where(found[name]) == "ours"
    assert str(found[name].build).startswith("cuda130_")
    assert other not in found  # they have the same files


@pytest.mark.parametrize(
    ("subdir", "virtual", "build"),
    [
        ("linux-aarch64", ("__glibc=2.39",), "cpu_generic_"),
        ("linux-aarch64", ("__glibc=2.39", "__cuda=13.2"), "cuda"),
        ("osx-arm64", ("__osx=15.0",), "cpu_generic_"),
    ],
)
def test_a_pure_package_of_another_channel_takes_our_pytorch(
    solved: Solved, subdir: str, virtual: tuple[str, ...], build: str
) -> None:
    pure = (
        record("lightning", "2.6.0", "py_0", ["python >=3.10", "pytorch >=2.1"], subdir="noarch"),
        # as the conda-pypi channel writes `Requires-Dist: torch`
        record("torchao", "0.16.0", "pypi_0", ["python >=3.9", "pytorch"], subdir="noarch"),
    )
    found = solved(["lightning", "torchao"], others=pure, subdir=subdir, virtual=virtual)
    assert {where(found[name]) for name in ("pytorch", "libtorch")} == {"ours"}
    assert str(found["pytorch"].build).startswith(build)
    assert {where(found[name]) for name in ("lightning", "torchao")} == {"others"}


def test_explain_says_which_torch_such_a_package_runs_on(rendered, tmp_path: Path) -> None:
    depends = ["python >=3.10", "pytorch >=2.1"]
    pure = record("lightning", "2.6.0", "py_0", depends, subdir="noarch")
    ours = write_record_channel(rendered, tmp_path / "ours")
    others = write_record_channel([pure], tmp_path / "others")
    base = standins.write(tmp_path / "base")
    command = f"conda install lightning --override-channels -c {ours} -c {others} -c {base}"
    done = armtorch("explain", command, "--subdir", "linux-aarch64", "--json", cwd=tmp_path)
    (found,) = json.loads(done.stdout)["installs"]
    assert [(each["name"], each["channel"], each["named"]) for each in found["installs"]] == [
        ("lightning", others, True),
        ("pytorch", ours, False),
    ]


@pytest.mark.parametrize(
    ("wanted", "virtual", "said"),
    [
        ("torchcodec", ["__cuda=13.2", "__glibc=2.39"], "conda install torchcodec-cuda "),
        ("torchcodec cpuonly", ["__cuda=13.2", "__glibc=2.39"], ""),
        ("torchcodec", ["__glibc=2.39"], ""),
    ],
)
def test_explain_names_the_gpus_torchcodec_where_the_name_is_the_cpus(
    upstream, tmp_path: Path, wanted: str, virtual: list[str], said: str
) -> None:
    answers, records = upstream
    others = [FFMPEG, torchcodec_of_base("0.10.0", "2.10.0", "2.11")]
    channels = [
        write_record_channel(records, tmp_path / "ours"),
        write_record_channel(others, tmp_path / "others"),
        standins.write(tmp_path / "base"),
    ]
    command = f"conda install {wanted} --override-channels -c {' -c '.join(channels)}"
    options = [part for each in virtual for part in ("--virtual", each)]
    done = armtorch(
        *("explain", command, "--subdir", "linux-aarch64", "--channel", channels[0], *options),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "This works" in done.stdout
    assert ("called torchcodec-cuda: " in done.stdout) is (bool(said) and not answers)
    assert answers or said in done.stdout

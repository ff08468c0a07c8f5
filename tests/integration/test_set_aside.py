"""Packages forged by a build job: none gets past `verify --set-aside`, and the rest goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from generator.channel import LocalChannel
from generator.ci.jobs import join
from generator.errors import IntegrityError
from generator.inspecting.proving import VerifyOptions, set_aside
from tests.command_line import armtorch
from tests.forgeries import FORGERIES, one
from tests.integration.synthetic import Line, updated
from tests.packages import Parts
from tests.synthetic_wheels import Release

pytestmark = pytest.mark.integration
OSX = "osx-arm64"


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    wheels = Release(subdir=OSX, torch="2.10.0").wheels(("cp312",))
    return updated(tmp_path_factory.mktemp("line"), wheels, OSX)


def packages(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.conda")
    }


@pytest.fixture
def artifacts(line: Line, tmp_path: Path) -> Path:
    """A folder with the packages that the jobs made."""
    for path in line.channel.root.rglob("*.conda"):
        target = tmp_path / "channel" / path.relative_to(line.channel.root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return tmp_path / "channel"


@pytest.mark.parametrize("forge", FORGERIES, ids=lambda forge: forge.__name__)
def test_what_was_forged_is_set_aside_and_the_rest_stays(
    line: Line, artifacts: Path, tmp_path: Path, forge: Callable[[Path], list[str]]
) -> None:
    honest = packages(artifacts)
    bad = set(forge(artifacts))
    assert bad
    set_aside(line.project, artifacts, VerifyOptions(), tmp_path / "refused")
    assert packages(artifacts) == {key: honest[key] for key in honest.keys() - bad}
    assert set(packages(tmp_path / "refused")) == bad
    join(line.project, artifacts)
    found = {record.key for record in LocalChannel(artifacts).records(OSX)}
    assert found == {key for key in packages(artifacts) if key.startswith(OSX)}


@pytest.mark.parametrize("forge", FORGERIES, ids=lambda forge: forge.__name__)
@pytest.mark.parametrize("job", ["packages-a", "packages-z"])
def test_no_job_takes_the_place_of_another_ones_package(
    line: Line, artifacts: Path, tmp_path: Path, forge: Callable[[Path], list[str]], job: str
) -> None:
    honest = packages(artifacts)
    jobs = tmp_path / "artifacts"
    shutil.copytree(artifacts, jobs / "packages-m")
    assert forge(artifacts)
    artifacts.rename(jobs / job)
    forged = packages(jobs / job)
    set_aside(line.project, artifacts, VerifyOptions(), tmp_path / "refused", artifacts=jobs)
    assert packages(artifacts) == honest
    # the job that publishes ends with what they are
    aside = {each.read_bytes() for each in (tmp_path / "refused").rglob("*.conda")}
    assert aside == {content for key, content in forged.items() if honest.get(key) != content}


def test_artifacts_without_a_package_in_its_place(
    line: Line, artifacts: Path, tmp_path: Path
) -> None:
    honest = packages(artifacts)
    jobs = tmp_path / "artifacts"
    artifacts.rename(jobs)
    (jobs / "loose.conda").write_bytes(b"no package")
    (jobs / "packages-z").mkdir()
    (jobs / "packages-z" / OSX).symlink_to(jobs / OSX)
    set_aside(line.project, artifacts, VerifyOptions(), tmp_path / "refused", artifacts=jobs)
    assert packages(artifacts) == honest


def test_a_folder_in_a_packages_place_goes_whole(
    line: Line, artifacts: Path, tmp_path: Path
) -> None:
    honest = packages(artifacts)
    (artifacts / OSX / "libtorch-9.9.9-cpu_0.conda" / "info").mkdir(parents=True)
    (artifacts / OSX / "libtorch-9.9.9-cpu_0.conda" / "info" / "index.json").write_text("{}")
    proofs = set_aside(line.project, artifacts, VerifyOptions(), tmp_path / "refused")
    assert [proof.package for proof in proofs if proof.verdict == "refuted"] == [
        "libtorch-9.9.9-cpu_0.conda"
    ]
    assert not (artifacts / OSX / "libtorch-9.9.9-cpu_0.conda").exists()
    assert packages(artifacts) == honest
    join(line.project, artifacts)


def test_a_stray_name_stops_no_job_that_is_given_it(
    line: Line, artifacts: Path, tmp_path: Path
) -> None:
    """Jobs get the artifacts of others before anything is verified."""
    honest = packages(artifacts)
    made = tmp_path / "made" / OSX
    made.mkdir(parents=True)
    own = shutil.copy(one(artifacts, "torchaudio"), made)
    one(artifacts, "torchaudio").write_bytes(b"another job's")
    (artifacts / OSX / "evil-1-0.conda").write_bytes(b"PK")
    (artifacts / OSX / "evil-1-0.tar.bz2").write_bytes(b"BZh")
    (artifacts / "label/rc" / OSX).mkdir(parents=True)
    shutil.copy(own, artifacts / "label/rc" / OSX)
    (artifacts / "noarch/evil-1-0.conda").symlink_to("/etc/passwd")
    (artifacts / OSX / "evil-2-0.conda").mkdir()
    with pytest.raises(IntegrityError, match="no job was to make"):
        join(line.project, artifacts)
    found = join(line.project, artifacts, made=(made.parent,), aside=tmp_path / "strays")
    assert packages(artifacts) == honest
    assert len(found.aside) == 5
    assert "Set aside" in found.markdown()
    assert {path.name for path in (tmp_path / "strays").rglob("*.conda")} == {
        *("evil-1-0.conda", "evil-2-0.conda"),
        one(artifacts, "torchaudio").name,
    }


def test_an_honest_channel_stays_whole(line: Line, artifacts: Path, tmp_path: Path) -> None:
    honest = packages(artifacts)
    proofs = set_aside(line.project, artifacts, VerifyOptions(), tmp_path / "refused")
    assert {proof.verdict for proof in proofs} == {"proven"}
    assert packages(artifacts) == honest
    assert not (tmp_path / "refused").exists()


def test_whatever_is_no_package_goes_too(line: Line, artifacts: Path, tmp_path: Path) -> None:
    """An index, an old-format package, links: the next command could believe them."""
    honest = packages(artifacts)
    folder = artifacts / OSX
    (folder / "repodata.json").write_text("{}")
    (folder / "evil-1-0.tar.bz2").write_bytes(b"BZh")
    (folder / "evil-1-0.conda").symlink_to(one(artifacts, "torchaudio"))
    (artifacts / "more").symlink_to(folder)
    set_aside(line.project, artifacts, VerifyOptions(), tmp_path / "refused")
    assert packages(artifacts) == honest
    assert {path.name for path in artifacts.rglob("*")} == {
        *(Path(key).name for key in honest),
        OSX,
        "noarch",
    }


def test_the_command_says_what_it_moved_and_verify_says_why(
    line: Line, artifacts: Path, tmp_path: Path
) -> None:
    where = ["--feedstock", line.project.feedstock]
    forged = one(artifacts, "torchaudio")
    forged.write_bytes(forged.read_bytes()[:-1])
    refused = tmp_path / "refused"
    done = armtorch(*where, "verify", artifacts, "--set-aside", refused)
    assert done.returncode == 0, done.stderr
    assert f"1 are in {refused}" in done.stdout
    done = armtorch(*where, "verify", "--json", refused)
    assert done.returncode == 16
    (said,) = json.loads(done.stdout)
    assert said["verdict"] == "refuted"
    assert said["flaws"]
    done = armtorch(*where, "verify", artifacts)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("place", [0, 1])
def test_damage_anywhere_is_refuted_without_a_traceback(
    line: Line, artifacts: Path, place: int
) -> None:
    """In the payload zstd notices first, in the archive's end zip does."""
    path = one(artifacts, "libtorch")
    content = bytearray(path.read_bytes())
    at = len(content) // 20 if place == 0 else len(content) - 30
    content[at] ^= 0xFF
    path.write_bytes(content)
    done = armtorch("--feedstock", line.project.feedstock, "verify", path)
    assert done.returncode == 16
    assert "Traceback" not in done.stderr
    assert "refuted" in done.stdout


def test_a_package_alone_is_never_proven(line: Line, tmp_path: Path) -> None:
    path = one(line.channel.root, "torchaudio")
    record = Parts.read(path).json("info/armtorch/manifest.json")["source"]["record_sha256"]
    for options in ([], ["--record-sha256", record]):
        done = armtorch("verify", path, *options, "--json", cwd=tmp_path)
        assert done.returncode == 18, done.stderr
        assert json.loads(done.stdout)[0]["verdict"] == "self-consistent"

"""Building with the real rattler-build: what is built, skipped, refused, and survives."""

from __future__ import annotations

import json
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from generator.building import BuildReport, Contents, Judgement, Settings
from generator.building.archive import open_payload, read_info, read_json
from generator.channel import LocalChannel
from generator.errors import AbsentError, BuildError, LinkageError, StorageError
from generator.model import Variant
from tests.tiny_recipes import BUILD, NEWEST_MS, TinyRepo, build_all, make_repo

pytestmark = pytest.mark.integration


@pytest.fixture
def repo(tmp_path: Path) -> TinyRepo:
    return make_repo(tmp_path)


def run(
    repo: TinyRepo, variants: list[Variant], *, force: bool = False, **more: object
) -> BuildReport:
    channel = LocalChannel(repo.root / "channel")
    settings = Settings(repo=repo.root, wheelhouse=repo.wheelhouse, level=3, jobs=2)
    settings = replace(settings, **more)  # type: ignore[arg-type]
    report = build_all(variants, channel=channel, settings=settings, force=force)
    channel.index()
    return report


def refuse(contents: Contents) -> Judgement:
    raise LinkageError(f"{contents.binaries} of {contents.index['name']}")


def describe(contents: Contents) -> Judgement:
    with contents.open("lib/libtiny.so") as file:
        magic = file.read(4)
    link = contents.files["site-packages/tiny/link"]
    return Judgement(notes=(f"{contents.binaries} {magic!r} {link}",))


def test_it_builds_indexes_and_then_skips(repo: TinyRepo) -> None:
    variants = repo.add()
    report = run(repo, variants)
    assert [row.status for row in report.rows] == ["built", "built"]
    assert [row.id for row in report.rows] == [v.id for v in variants]
    records = LocalChannel(repo.root / "channel").records("linux-aarch64")
    assert {(r.file_name, r.size, r.sha256) for r in records} == {
        (row.file_name, row.size, row.sha256) for row in report.rows
    }
    assert {r.timestamp for r in records} == {NEWEST_MS}
    assert (repo.root / "channel/noarch/repodata.json").is_file()

    again = run(repo, variants)
    assert [row.status for row in again.rows] == ["skipped", "skipped"]
    assert [(r.size, r.sha256) for r in again.rows] == [(r.size, r.sha256) for r in report.rows]
    assert again.savings() == report.savings()
    assert json.loads(json.dumps(again.to_json()))["variants"][0]["status"] == "skipped"


def test_nothing_but_logs_stays_behind(repo: TinyRepo) -> None:
    run(repo, repo.add())
    private = repo.root / ".armtorch"
    left = {p.relative_to(private).as_posix() for p in private.rglob("*") if p.is_file()}
    assert left == {
        "build/lock",
        "log/1.0/tiny/linux_aarch64_python3.11.log",
        "log/1.0/tiny/linux_aarch64_python3.12.log",
    }
    assert "the script ran" in (private / "log/1.0/tiny/linux_aarch64_python3.11.log").read_text()


def test_two_folders_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = (make_repo(tmp_path / name) for name in ("one", "another/deeper"))
    rows = [run(repo, repo.add(), jobs=jobs).rows for repo, jobs in ((first, 1), (second, 2))]
    assert [r.sha256 for r in rows[0]] == [r.sha256 for r in rows[1]]
    assert all(r.sha256 for r in rows[0])


def test_the_package_is_normal(repo: TinyRepo) -> None:
    (row, *_) = run(repo, repo.add()).rows
    package = repo.root / "channel" / "linux-aarch64" / row.file_name
    assert package.stat().st_mode & 0o777 == 0o644
    with open_payload(package) as payload:
        entries = {entry.name: entry for entry in payload}
    assert list(entries) == [
        "lib/libtiny.so",
        "site-packages/tiny/__init__.py",
        "site-packages/tiny/link",
        "site-packages/tiny/run",
    ]
    assert {(e.uid, e.gid, e.uname, e.gname, e.mtime) for e in entries.values()} == {
        (0, 0, "", "", NEWEST_MS // 1000)
    }
    assert entries["site-packages/tiny/run"].mode == 0o755
    # what a file is says whether it is executable: a library is, as conda-forge's are
    assert entries["lib/libtiny.so"].mode == 0o755
    assert entries["site-packages/tiny/__init__.py"].mode == 0o644
    assert entries["site-packages/tiny/link"].type == tarfile.SYMTYPE
    info = read_info(package)
    assert "info/armtorch/note.json" in info
    assert read_json(info, "info/index.json", package)["timestamp"] == NEWEST_MS
    rendered = info["info/recipe/rendered_recipe.yaml"].decode()
    assert str(repo.root) not in rendered
    assert "__archspec" not in rendered
    # a newer rattler-build gives the same bytes
    assert "rattler-build: 0.73" not in rendered


def test_other_inputs_under_the_same_name_are_refused_unless_forced(repo: TinyRepo) -> None:
    before = run(repo, repo.add()).rows[0]
    changed = repo.add(digest="d2", build=BUILD.replace("2_000_000", "2_000_001"))
    report = run(repo, changed)
    assert [row.status for row in report.rows] == ["failed", "failed"]
    error = report.rows[0].error
    assert isinstance(error, BuildError)
    assert "made from other inputs" in error.what
    assert "build number" in error.next_step
    channel = LocalChannel(repo.root / "channel")
    assert channel.records("linux-aarch64")[0].sha256 == before.sha256

    forced = run(repo, changed, force=True)
    assert [row.status for row in forced.rows] == ["built", "built"]
    records = channel.records("linux-aarch64")
    assert [r.sha256 for r in records] == [row.sha256 for row in forced.rows]
    assert records[0].sha256 != before.sha256


def test_one_failure_stops_nothing_else(repo: TinyRepo) -> None:
    bad = repo.add("broken", build="import sys\nsys.exit('no such member: torch/lib/x.so')\n")
    report = run(repo, [*bad, *repo.add()])
    assert [row.status for row in report.rows] == ["failed", "failed", "built", "built"]
    error = report.failed[0].error
    assert isinstance(error, BuildError)
    assert "no such member: torch/lib/x.so" in error.what
    assert ".armtorch/log/1.0/broken/" in error.next_step
    with pytest.raises(BuildError, match="2 of 4 variants failed"):
        report.raise_for_failures()


def test_the_linkage_check_sees_the_binaries_and_decides(repo: TinyRepo) -> None:
    variants = repo.add()[:1]
    report = run(repo, variants, audit=refuse)
    assert isinstance(report.rows[0].error, LinkageError)
    assert "lib/libtiny.so" in report.rows[0].error.what
    assert not list((repo.root / "channel").rglob("*.conda"))
    assert run(repo, variants, audit=describe).rows[0].warnings == (
        "('lib/libtiny.so',) b'\\x7fELF' ../../lib/elsewhere.so",
    )


def test_a_file_that_holds_the_build_folder_is_an_error(repo: TinyRepo) -> None:
    script = BUILD + '(prefix / "lib" / "launcher").write_text(f"#!{prefix}/bin/python")\n'
    error = run(repo, repo.add(build=script)).rows[0].error
    assert isinstance(error, BuildError)
    assert "lib/launcher holds the path of the folder it was built in" in error.what


def test_the_work_folder_in_a_binary_is_found_too(repo: TinyRepo) -> None:
    # not the prefix, so rattler-build does not notice; and across the border of two blocks
    script = BUILD + (
        "work = str(pathlib.Path.cwd().resolve())\n"
        'before = (1 << 20) - work.rindex("/armtorch-") - 5\n'
        '(prefix / "lib" / "cache").write_bytes(bytes(before) + work.encode())\n'
    )
    error = run(repo, repo.add(build=script)).rows[0].error
    assert isinstance(error, BuildError)
    assert "lib/cache holds the path" in error.what


def test_recipe_and_matrix_must_agree(repo: TinyRepo) -> None:
    variants = [replace(v, build_number=7) for v in repo.add()]
    error = run(repo, variants).rows[0].error
    assert isinstance(error, BuildError)
    assert "armtorch render" in error.next_step
    (repo.root / variants[0].config_path).unlink()
    error = run(repo, variants).rows[0].error
    assert isinstance(error, BuildError)
    assert error.where.endswith(variants[0].config_path)


def test_a_wheel_that_was_not_fetched_is_named(repo: TinyRepo) -> None:
    variants = repo.add()
    wheel = variants[1].wheels[0]
    (repo.wheelhouse / wheel.sha256[:16] / wheel.filename).unlink()
    report = run(repo, variants)
    assert [row.status for row in report.rows] == ["built", "failed"]
    assert isinstance(report.rows[1].error, AbsentError)
    assert wheel.filename in report.rows[1].error.where


def test_a_worker_that_is_killed_is_one_failure(repo: TinyRepo) -> None:
    # the script's process group is the worker's: both die, as when memory runs out
    script = "import os, signal\nos.killpg(os.getpgid(0), signal.SIGKILL)\n"
    killed = repo.add("killed", build=script)
    report = run(repo, [*killed, *repo.add()])
    assert [row.status for row in report.rows] == ["failed", "failed", "built", "built"]
    error = report.failed[0].error
    assert isinstance(error, BuildError)
    assert "SIGKILL" in error.what


def test_a_channel_that_cannot_be_is_known_before_building(repo: TinyRepo) -> None:
    (repo.root / "channel").write_text("a file")
    with pytest.raises(StorageError, match="cannot be written") as caught:
        run(repo, repo.add())
    assert not (repo.root / ".armtorch" / "log").exists()
    assert caught.value.exit_code == StorageError.exit_code

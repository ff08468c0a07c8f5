"""`armtorch base` from Debian's real armhf packages: made twice, installed, and run under qemu."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from generator.building.archive import read_info
from generator.channel import LocalChannel
from generator.commands import cli
from generator.compiling import apt
from generator.console import Silent
from generator.datafiles import subdirs
from generator.debian import Deb, Materials, base_rows, planned, staged
from generator.debian.rows import DebRow
from generator.errors import (
    AbsentError,
    DataError,
    IntegrityError,
    LinkageError,
    LockError,
    MissingToolError,
    SelectionError,
)
from generator.feedstock import DebianBase, parse_feedstock
from generator.lock import write_lock
from generator.model import Lock, Pin
from generator.project import Project
from generator.stages.base import BaseOptions, make_bases, pinned
from generator.stages.update import update_lock
from generator.testing import Machine, Runner, choose_runner, create, solve
from generator.testing.runner import clean_environment
from tests.conftest import made_once, missing
from tests.debian_base import ARM, debs_of, sysroot_of
from tests.forge.channel import default_cache

pytestmark = pytest.mark.integration

#: one that docs/armv7l.md describes; no wheel of torch is there for it
FEEDSTOCK = """\
channel: mine
maintainers: [someone]
carry_armtorch: false
indexes: {pypi: {kind: pip}}
trains: {stable: {indexes: [pypi]}}
subdirs: {linux-armv7l: {accelerators: [cpu]}}
debian:
  linux-armv7l: {suite: trixie, architecture: armhf}
"""
PROGRAM = """\
import bz2, ctypes, curses, decimal, hashlib, io, json, lzma, os, readline, sqlite3, ssl, sys
import sysconfig, uuid, zlib, zoneinfo
import numpy as np
import soundfile
from PIL import Image, features

prefix = os.environ["PREFIX"]
context = ssl.create_default_context()
matrix = np.random.default_rng(1).normal(size=(80, 80))
slope = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)
picture = Image.fromarray(np.stack([slope, slope[::-1], slope // 2], axis=2))
kept = {}
for kind in ("PNG", "JPEG", "WEBP", "TIFF"):
    file = io.BytesIO()
    picture.save(file, kind)
    back = np.asarray(Image.open(io.BytesIO(file.getvalue())).convert("RGB"), dtype=int)
    kept[kind] = int(abs(back - np.asarray(picture, dtype=int)).max())
tone = np.sin(np.arange(8000) / 8000 * 2 * np.pi * 440)
heard = {}
for kind in ("WAV", "FLAC"):
    file = io.BytesIO()
    soundfile.write(file, tone, 8000, format=kind)
    back, rate = soundfile.read(io.BytesIO(file.getvalue()))
    heard[kind] = [rate, float(abs(back - tone).max())]
print(json.dumps({
    "heard": heard,
    "prefix": sys.prefix,
    "certificates": ssl.get_default_verify_paths().cafile,
    "trusted": len(context.get_ca_certs()),
    "sqlite": sqlite3.connect(":memory:").execute("select 6 * 7").fetchone(),
    "inverse": float(abs(np.linalg.inv(matrix) @ matrix - np.eye(80)).max()),
    "kept": kept,
    "fonts": features.check("raqm"),
    "zone": str(zoneinfo.ZoneInfo("Europe/Berlin").utcoffset(None)),
    "zones": zoneinfo.TZPATH[0],
    "paths": sorted(sysconfig.get_paths().values()),
    "library": sysconfig.get_config_var("LIBDIR"),
    "pointer": ctypes.sizeof(ctypes.c_void_p),
    "platform": sysconfig.get_platform(),
}))
"""


@dataclass
class Said(Silent):
    """Remembers warnings."""

    warnings: list[str] = field(default_factory=list)

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def _project(folder: Path) -> Project:
    (folder / "feedstock.yaml").write_text(FEEDSTOCK)
    # the wheelhouse and apt's lists stay in the user's cache, as the forge's downloads do
    return Project(
        feedstock=folder / "feedstock.yaml", narrator=Said(), cache=default_cache().parent
    )


def _options(folder: Path) -> BaseOptions:
    return BaseOptions(channel=LocalChannel(folder), jobs=2, level=1)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A feedstock with a locked base, and the base made of it in `channel`."""

    def make(folder: Path) -> None:
        project = _project(folder)
        update_lock(project)
        if ARM in project.locked().base:
            make_bases(project, (), _options(folder / "channel"))

    project = _project(made_once(tmp_path_factory, "debian-base", make))
    if ARM not in project.locked().base:
        missing("Debian cannot be asked here: apt, its keys, or a mirror are not there")
    return project


@pytest.fixture(scope="module")
def channel(own: Project) -> LocalChannel:
    return LocalChannel(own.root / "channel")


@pytest.fixture(scope="module")
def debs(own: Project, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Deb]:
    return debs_of(own, tmp_path_factory.mktemp("debs"))


@pytest.fixture(scope="module")
def sysroot(debs: dict[str, Deb], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sysroot_of(debs, tmp_path_factory.mktemp("sysroot"))


@pytest.fixture(scope="module")
def runner(sysroot: Path) -> Runner:
    try:
        return choose_runner(subdirs()[ARM], sysroot=sysroot)
    except MissingToolError as error:
        missing(str(error))


@pytest.fixture(scope="module")
def prefix(channel: LocalChannel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Torch's dependencies and a client, installed from that channel alone."""
    machine = Machine.of(subdirs()[ARM], native=False)
    wanted = (
        "python numpy pillow filelock typing_extensions sympy networkx jinja2 fsspec setuptools"
    )
    libraries = (
        "libopenblas libprotobuf libonnx sleef cpuinfo pthreadpool fmt openssl sqlite xz pip "
        "pysoundfile"
    )
    records = solve(
        [*wanted.split(), *libraries.split(), "py-rattler"], channels=[channel.url], machine=machine
    )
    folder = tmp_path_factory.mktemp("base")
    cache = tmp_path_factory.mktemp("packages")
    return create(records, prefix=folder / "prefix", subdir=ARM, package_cache=cache).prefix


def _run(prefix: Path, runner: Runner, program: str, *arguments: str) -> str:
    command = runner.command([str(prefix / "bin" / program), *arguments])
    environment = clean_environment(prefix, runner, {"HOME": str(prefix)})
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.emulated
def test_python_ssl_sqlite_numpy_and_pillow_work(prefix: Path, runner: Runner) -> None:
    said = json.loads(_run(prefix, runner, "python", "-c", PROGRAM))
    assert said["prefix"] == str(prefix)
    assert said["certificates"] == str(prefix / "ssl/cert.pem")
    assert said["trusted"] > 100
    assert said["sqlite"] == [42]
    assert said["inverse"] < 1e-10
    assert said["kept"]["PNG"] == said["kept"]["TIFF"] == 0
    assert 0 < said["kept"]["JPEG"] < 32
    assert said["fonts"] is True
    for rate, difference in said["heard"].values():
        assert rate == 8000
        assert difference < 1e-4
    assert said["zones"] == str(prefix / "share/zoneinfo")
    assert said["library"] == str(prefix / "lib")
    assert all(path.startswith(str(prefix)) for path in said["paths"])
    assert (said["pointer"], said["platform"]) == (4, "linux-armv7l")


@pytest.mark.emulated
def test_programs_and_pure_packages_work(prefix: Path, runner: Runner) -> None:
    assert _run(prefix, runner, "openssl", "version").startswith("OpenSSL 3.5")
    assert _run(prefix, runner, "sqlite3", ":memory:", "select 6 * 7").strip() == "42"
    assert _run(prefix, runner, "xz", "--version").startswith("xz")
    program = (
        "import fsspec, filelock, jinja2, setuptools, typing_extensions, rattler;"
        "from importlib.metadata import version;"
        "print(jinja2.Template('{{ 6 * 7 }}').render(), version('sympy'), version('networkx')[0])"
    )
    assert _run(prefix, runner, "python", "-c", program).split() == ["42", "1.13.1", "3"]
    assert str(prefix) in _run(prefix, runner, "python", "-m", "pip", "--version")


@pytest.mark.emulated
def test_a_venv_in_it_has_its_own_site_packages(
    prefix: Path, runner: Runner, tmp_path: Path
) -> None:
    _run(prefix, runner, "python", "-m", "venv", "--without-pip", str(tmp_path / "venv"))
    said = _run(tmp_path / "venv", runner, "python", "-c", "import site; print(site.PREFIXES[0])")
    assert said.strip() == str(tmp_path / "venv")


@pytest.mark.emulated
def test_its_client_installs_and_adds_with_rattler_alone(
    prefix: Path, runner: Runner, channel: LocalChannel, tmp_path: Path
) -> None:
    def install(*specs: str) -> str:
        program, target = str(channel.root / "install.py"), str(tmp_path / "board")
        return _run(
            prefix, runner, "python", program, "-c", str(channel.root), "-p", target, *specs
        )

    assert "sqlite " in install("sqlite")
    said = install("python")
    # what was asked for before is still there, and of this machine's subdir
    assert "sqlite " in said
    records = [
        json.loads(path.read_text()) for path in (tmp_path / "board").glob("conda-meta/*.json")
    ]
    assert {each["subdir"] for each in records} == {ARM}
    code = "import sqlite3, sys; print(sys.prefix)"
    assert _run(tmp_path / "board", runner, "python", "-c", code).strip() == str(tmp_path / "board")


def test_made_again_elsewhere_it_has_the_same_bytes(
    own: Project, channel: LocalChannel, tmp_path: Path
) -> None:
    report = make_bases(own, (ARM,), _options(tmp_path / "again"))
    assert {row.status for row in report.rows} == {"built"}
    found = {path.name: path.read_bytes() for path in (channel.root / ARM).glob("*.conda")}
    for row in report.rows:
        assert (tmp_path / "again" / ARM / row.file_name).read_bytes() == found.pop(row.file_name)
    assert found == {}


def test_what_is_there_is_not_made_again(own: Project, channel: LocalChannel) -> None:
    report = make_bases(own, (), _options(channel.root))
    assert {row.status for row in report.rows} == {"skipped"}


def test_licences_sources_and_changes_are_in_each_package(
    own: Project, channel: LocalChannel
) -> None:
    pins = {pin.sha256 for pin in own.locked().base[ARM]}
    used = set()
    for path in (channel.root / ARM).glob("*.conda"):
        info = read_info(path)
        index = json.loads(info["info/index.json"])
        assert index["subdir"] == ARM
        if "info/armtorch/debian.json" not in info:
            continue  # of nobody's files
        account = json.loads(info["info/armtorch/debian.json"])
        used |= {each["sha256"] for each in account["sources"]}
        assert any(name.startswith("info/licenses/") for name in info), path.name
    assert used == pins - {pin.sha256 for pin in own.locked().base[ARM] if "/libc6@" in pin.purl}
    (python,) = (channel.root / ARM).glob("python-3.13*.conda")
    account = json.loads(read_info(python)["info/armtorch/debian.json"])
    assert account["files"]["bin/python3.13"] == "python3.13-minimal:usr/bin/python3.13 rpath"
    # what needs nothing but the C library keeps its bytes
    (zlib,) = (channel.root / ARM).glob("libzlib-*.conda")
    account = json.loads(read_info(zlib)["info/armtorch/debian.json"])
    assert not any(origin.endswith("rpath") for origin in account["files"].values())


def _few(debs: dict[str, Deb], change: Callable[[DebRow], DebRow] = lambda row: row) -> Materials:
    """The rows about GCC's libraries, and libffi, which needs one of them."""
    rows, names = base_rows(), ("libffi", "libgcc", "libgomp")
    packages = tuple(change(row) for row in rows.packages if row.conda in names)
    metas = tuple(row for row in rows.metapackages if row.conda == "_openmp_mutex")
    target = rows.target(ARM, _declared())
    rows = replace(rows, packages=packages, metapackages=metas, wheels=())
    return Materials(rows=rows, target=target, debs=debs, wheels={})


def _declared() -> DebianBase:
    (row,) = parse_feedstock(FEEDSTOCK.encode(), "feedstock.yaml").debian.values()
    return row


def test_dependencies_are_debians_and_bounded_by_the_rows(debs: dict[str, Deb]) -> None:
    libffi, libgcc, _, openmp = (each.package for each in planned(_few(debs)))
    assert libffi.depends == ("__glibc >=2.41,<3.0.a0", f"libgcc >={libgcc.version}")
    assert "_openmp_mutex >=4.5" in libgcc.depends
    assert openmp.file_name == "_openmp_mutex-4.5-20_gnu.conda"


def test_other_bytes_or_another_row_give_another_name(debs: dict[str, Deb]) -> None:
    def named(materials: Materials) -> dict[str, str]:
        return {each.package.name: each.package.file_name for each in planned(materials)}

    before = named(_few(debs))
    other = {**debs, "libffi8": replace(debs["libffi8"], sha256="0" * 64)}
    assert named(_few(other)) == {**before, "libffi": named(_few(other))["libffi"]}
    assert named(_few(other))["libffi"] != before["libffi"]


@pytest.mark.parametrize(
    ("changed", "error", "said"),
    [
        ({"debs": ("libffi8",), "files": ("usr/lib/{multiarch}/no*",)}, DataError, "no file"),
        ({"without": {"libgcc-s1": "for a test"}}, LinkageError, "libgcc_s.so.1"),
        ({"links": {"lib/libffi.so": "libffi.so.9"}}, LinkageError, "lib/libffi.so.9"),
        ({"places": {"usr/lib/": "lib"}, "files": ("etc/x",)}, DataError, "no file"),
        ({"version": "no(such)"}, DataError, "does not fit"),
    ],
)
def test_a_row_that_does_not_hold_is_refused(
    debs: dict[str, Deb], tmp_path: Path, changed: dict[str, Any], error: type[Exception], said: str
) -> None:
    def change(row: DebRow) -> DebRow:
        return replace(row, **changed) if row.conda == "libffi" else row

    materials = _few(debs, change)
    with pytest.raises(error, match=said):
        staged(planned(materials), materials, tmp_path, 1)


def test_a_dependency_of_debians_without_a_row_is_named(debs: dict[str, Deb]) -> None:
    materials = _few(debs)
    rows = materials.rows
    alone = replace(rows, packages=tuple(each for each in rows.packages if each.conda == "libffi"))
    with pytest.raises(DataError, match="libffi8 depends on libgcc-s1"):
        planned(replace(materials, rows=alone))


def _with_pin(own: Project, folder: Path, **changed: Any) -> Project:
    """A project whose lock has something else about libffi8, which its wheelhouse lacks."""
    lock, pins = own.locked(), []
    (folder / "cache/wheelhouse").mkdir(parents=True)
    for pin in lock.base[ARM]:
        if "/libffi8@" in pin.purl:
            pins += [replace(pin, **changed)] if changed else []
            continue
        pins.append(pin)
        place = pin.sha256[:16]
        (folder / "cache/wheelhouse" / place).symlink_to(own.wheelhouse / place)
    write_lock(replace(lock, base={ARM: tuple(pins)}), folder / "feedstock.lock.yaml")
    return replace(_project(folder), cache=folder / "cache")


def test_a_lock_from_before_a_row_says_so(own: Project, tmp_path: Path) -> None:
    with pytest.raises(LockError, match="there is no libffi8"):
        make_bases(_with_pin(own, tmp_path), (), _options(tmp_path / "channel"))


def test_a_deb_with_other_bytes_is_not_taken(own: Project, tmp_path: Path) -> None:
    project = _with_pin(own, tmp_path, sha256="0" * 64)
    with pytest.raises(IntegrityError, match="sha256"):
        make_bases(project, (), _options(tmp_path / "channel"))


def test_a_version_that_debian_has_no_more_is_absent(own: Project, tmp_path: Path) -> None:
    purl = "pkg:deb/debian/libffi8@1.0-1?arch=armhf&distro=trixie"
    project = _with_pin(own, tmp_path, purl=purl)
    with pytest.raises(AbsentError, match="no longer has"):
        make_bases(project, (), _options(tmp_path / "channel"))


def test_without_debians_keys_an_update_keeps_the_base(
    own: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apt, "_KEYRING", tmp_path / "none.gpg")
    project, narrator = own, own.narrator
    old = Lock(base={ARM: (Pin(purl="pkg:deb/debian/x@1?arch=all", sha256="a" * 64, size=1),)})
    assert pinned(project, project.declared(), old) == dict(old.base)
    assert isinstance(narrator, Said)
    assert f"the base of {ARM} stays as it was" in narrator.warnings[-1]
    assert "debian-archive-keyring" in narrator.warnings[-1]
    assert pinned(project, project.declared(), Lock()) == {}


def test_the_command_lists_and_refuses(own: Project) -> None:
    def run(*arguments: str) -> Result:
        return CliRunner().invoke(cli, ["--feedstock", str(own.feedstock), "base", *arguments])

    listed = {each["name"] for each in json.loads(run("--dry-run", "--json").stdout)[ARM]}
    assert {"python3.13-minimal", "sympy", "libc6"} <= listed
    refused = run("osx-arm64").exception
    assert isinstance(refused, SelectionError)
    assert ARM in refused.next_step

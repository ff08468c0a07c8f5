"""Upstream's texts are values: no expression in METADATA is evaluated, and no name leads out."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest

from generator.errors import LockError
from generator.lock import lock_text, parse_lock, read_lock
from generator.lock.document import HEAD, digest_of, to_document
from generator.stages.render import render_feedstock
from generator.stages.update import update_lock
from tests.index_server import IndexServer
from tests.integration.synthetic import open_project, updated
from tests.integration.test_recipe_builds import Built
from tests.synthetic_wheels import Release, TinyWheel

pytestmark = pytest.mark.integration

ARM = "linux-aarch64"
RELEASE = Release(subdir=ARM, torch="2.10.0", torchaudio="2.10.0")
SECRET = "s3cret-of-the-publishing-job"  # noqa: S105 - the test's own
#: what reads the environment, what fills the memory, what is another template's
EXPRESSIONS = (
    "${{ env.get('PREFIX_API_KEY') }}",
    "${{ env.get('PREFIX_API_KEY', default='x') }}${{ 'x' * 999999999 }}",
    '${{ "a" ~ 1 }} {{ 1 + 1 }} {% raw %} <% if 1 %> << version >> #{{ x }}',
    "$${{ 1 }} ${${{ 2 }}}",
    "\"quoted': - & *anchor !tag | > %",
)


def audio(**changes: object) -> TinyWheel:
    plain = RELEASE.wheel("torchaudio", "cp312")
    return replace(plain, **changes)  # type: ignore[arg-type]


def metadata(*lines: str, **fields: str) -> bytes:
    """METADATA of torchaudio with other fields."""
    found = {
        "Metadata-Version": "2.4",
        "Name": "torchaudio",
        "Version": "2.10.0",
        "Summary": "sound",
        "License-Expression": "BSD-3-Clause",
        "Requires-Python": ">=3.10",
        "Requires-Dist": "torch==2.10.0",
        **{key.replace("_", "-"): text for key, text in fields.items()},
    }
    return ("\n".join([*(f"{k}: {v}" for k, v in found.items()), *lines]) + "\n\nx\n").encode()


@pytest.fixture
def secrets(monkeypatch):
    for name in ("PREFIX_API_KEY", "AWS_SECRET_ACCESS_KEY", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"):
        monkeypatch.setenv(name, SECRET)


def test_every_free_text_of_metadata_is_itself_in_the_package(tmp_path, secrets):
    text = " ".join(EXPRESSIONS)
    wheel = audio(
        metadata=metadata(
            f"Description: {text}",
            f"Keywords: {EXPRESSIONS[0]},{EXPRESSIONS[1]}",
            f"Platform: {EXPRESSIONS[0]}",
            f"Maintainer-email: {EXPRESSIONS[1]}",
            f"Classifier: {EXPRESSIONS[0]}",
            f"Project-URL: Documentation, https://x/{EXPRESSIONS[0]}",
            Summary=text,
            Author=EXPRESSIONS[0],
            Author_email=EXPRESSIONS[1],
        )
    )
    line = updated(tmp_path, [RELEASE.wheel("torch", "cp312"), wheel], ARM, packages=["torchaudio"])
    built = Built.open(line.packages("torchaudio")[0])
    assert json.loads(built.info["info/about.json"])["summary"] == text
    for name, content in (built.info | built.files).items():
        assert SECRET.encode() not in content, name
    assert os.environ["PREFIX_API_KEY"] == SECRET, "whoever builds has it still"


REFUSED = {
    "licence": {"metadata": metadata(License_Expression=EXPRESSIONS[0])},
    "old licence": {"metadata": metadata("License: ${{ env.get('X') }}", License_Expression="")},
    "home page": {"metadata": metadata(f"Home-page: https://x/{EXPRESSIONS[0]}")},
    "requirement": {"metadata": metadata("Requires-Dist: numpy===${{env.get('X')}}")},
    "requirement's name": {"metadata": metadata("Requires-Dist: ${{ env.get('X') }}")},
    "marker": {"metadata": metadata("Requires-Dist: x ; os_name ~= 'posix'")},
    "deep marker": {"metadata": metadata("Requires-Dist: x ; " + "(" * 3000 + "os_name == 'x'")},
    "unknown variable": {"metadata": metadata("Requires-Dist: x ; moon == 'full'")},
    "Python": {"metadata": metadata(Requires_Python="===${{ 1 }}")},
    "version": {"metadata": metadata(Version="2.10.0${{ 1 }}")},
    "name": {"metadata": metadata(Name="torch${{ 1 }}audio")},
    "command's name": {"console_scripts": ["${{env.get('X')}} = torchaudio:main"]},
    "command upwards": {"console_scripts": ["../../../evil = torchaudio:main"]},
    "command's target": {"console_scripts": ["play = torchaudio:${{ env.get('X') }}"]},
    "command of Windows": {"console_scripts": ["con = torchaudio:main"]},
}


@pytest.mark.parametrize("changes", REFUSED.values(), ids=REFUSED)
def test_what_has_no_place_for_it_costs_the_wheel_and_no_more(tmp_path, changes):
    for wheel in (RELEASE.wheel("torch", "cp312"), audio(**changes)):
        wheel.write(tmp_path / "index")

    with IndexServer(tmp_path / "index") as server:
        project = open_project(tmp_path, server, ARM)
        result = update_lock(project)
    (cell,) = result.lock.cells
    assert cell.wheels_of("torch")
    assert not cell.wheels_of("torchaudio")
    assert any("torchaudio" in str(each) for each in result.findings) or cell.absent
    render_feedstock(project)
    assert read_lock(project.lock) == result.lock


MEMBERS = {
    "device": "torchaudio/aux.py",
    "stream": "torchaudio/a:b.py",
    "blank": "torchaudio/a .py ",
    "bidi": "torchaudio/a\u202eb.py",
}


@pytest.mark.parametrize("name", MEMBERS.values(), ids=MEMBERS)
def test_members_that_some_system_cannot_have_cost_the_wheel(tmp_path, name):

    bad = audio(members={**audio().members, name: b"x"})
    for wheel in (RELEASE.wheel("torch", "cp312"), bad):
        wheel.write(tmp_path / "index")
    with IndexServer(tmp_path / "index") as server:
        result = update_lock(open_project(tmp_path, server, ARM))
    assert not result.lock.cells[0].wheels_of("torchaudio")
    assert result.lock.cells[0].wheels_of("torch")


#: what a pull request may write into the lock, its digest computed anew
LOCKS = {
    "a line upwards": (("cells", 0, "line"), "../../../X"),
    "a line of Windows": (("cells", 0, "line"), "nul"),
    "a line that is absolute": (("cells", 0, "line"), "/tmp/x"),  # noqa: S108
    "a line with an expression": (("cells", 0, "line"), "${{ 1 }}"),
    "a line with a stream": (("cells", 0, "line"), "2.10:x"),
    "a subdir upwards": (("cells", 0, "subdir"), "../x"),
    "an unknown subdir": (("cells", 0, "subdir"), "linux-64"),
    "a file upwards": (
        ("cells", 0, "wheels", 0, "filename"),
        "torch-2.10.0-1/../x-cp312-any.whl",
    ),
    "another file": (("cells", 0, "wheels", 0, "filename"), "numpy-1.0-py3-none-any.whl"),
    "no sha256": (("cells", 0, "wheels", 0, "sha256"), "../../etc/passwd"),
    "a version": (("cells", 0, "wheels", 0, "version"), "2.10.0\n- evil"),
    "another version": (("cells", 0, "wheels", 0, "version"), "2.9.0"),
    "a purl": (("cells", 0, "wheels", 0, "purl"), "pkg:pypi/evil@1"),
    "an index": (("cells", 0, "wheels", 0, "index"), "../pypi"),
    "a platform": (("cells", 0, "wheels", 0, "platforms", 0), "manylinux_2_99_aarch64"),
    "a glibc": (("cells", 0, "wheels", 0, "glibc"), "2.28,__cuda"),
    "a command": (("cells", 0, "wheels", 0, "console_scripts"), ["../x = a:b"]),
    "METADATA that is not there": (("cells", 0, "wheels", 0, "metadata"), "0" * 64),
    "a trio without torch": (("cells", 0, "trio"), {"torchvision": "0.25.0"}),
    "a trio of another version": (("cells", 0, "trio", "torch"), "2.11.0"),
    "no wheels": (("cells", 0, "wheels"), []),
    "a Python of libtorch": (("cells", 0, "sharing", "reference"), "3.99"),
    "a member upwards": (("cells", 0, "sharing", "per_python"), ["../../x"]),
    "a library upwards": (("cells", 0, "libraries"), ["../../x.so"]),
    "a build upwards": (("builds",), {"../../x/y": {"number": 1, "digest": "0" * 64}}),
    "a negative build": (("builds",), {"2.10/pytorch": {"number": -1, "digest": "0" * 64}}),
    "a hidden detail": (("absent", 0, "detail"), "a\x1b[31mb"),
    "a lone surrogate": (("absent", 0, "detail"), "a\ud800"),
}


@pytest.fixture(scope="module")
def lock(tmp_path_factory):
    """A true lock as plain data."""

    folder = tmp_path_factory.mktemp("lock")
    for abi in ("cp311", "cp312"):
        RELEASE.wheel("torch", abi).write(folder / "index")
    with IndexServer(folder / "index") as server:
        project = open_project(folder, server, ARM, accelerators=("cpu", "cuda130"))
        return to_document(update_lock(project).lock)


@pytest.mark.parametrize(("place", "value"), LOCKS.values(), ids=LOCKS)
def test_a_lock_of_a_pull_request_is_refused_before_anything_is_written(lock, place, value):
    content = json.loads(json.dumps(lock))
    target = content
    for key in place[:-1]:
        target = target[key]
    target[place[-1]] = value
    content = {key: each for key, each in content.items() if key not in {"schema", "digest"}}
    try:
        digest = digest_of(content)
    except UnicodeEncodeError:
        digest = "0" * 64
    text = HEAD + json.dumps({"schema": 1, "digest": digest, **content})
    with pytest.raises(LockError) as caught:
        parse_lock(text, where="feedstock.lock.yaml")
    assert "its digest" not in caught.value.what or "\ud800" in str(value)


def test_the_lock_itself_is_read(lock):
    content = {key: each for key, each in lock.items() if key not in {"schema", "digest"}}
    text = HEAD + json.dumps({"schema": 1, "digest": digest_of(content), **content})
    read = parse_lock(text, where="feedstock.lock.yaml")
    assert parse_lock(lock_text(read), where="x") == read


def test_a_subdir_that_is_asked_for_no_more_goes_with_the_next_update(tmp_path):
    for subdir in (ARM, "osx-arm64"):
        Release(subdir=subdir, torch="2.10.0").wheel("torch", "cp312").write(tmp_path / "index")
    with IndexServer(tmp_path / "index") as server:
        project = open_project(tmp_path, server, ARM)
        text = project.feedstock.read_text()
        project.feedstock.write_text(text + "  osx-arm64: {accelerators: [cpu]}\n")
        assert len(update_lock(project).lock.cells) == 2
        project.feedstock.write_text(text)
        with pytest.raises(LockError, match=r"osx-arm64, which feedstock\.yaml"):
            render_feedstock(project)
        assert len(update_lock(project).lock.cells) == 1
        render_feedstock(project)

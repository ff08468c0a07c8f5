"""Rows `sources:`, what a run takes, what ninja says, and what is remembered of it."""

from __future__ import annotations

import hashlib
import json
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from generator.compiling import plan, select
from generator.compiling.apt import Listed
from generator.compiling.driver import _State
from generator.compiling.ninja import Failure, Progress, run_ninja
from generator.compiling.planning import fitting_jobs
from generator.compiling.root import Root
from generator.compiling.toolchain import compiling
from generator.compiling.tree import Tree, fetch_files, patches_of, tree_folder
from generator.compiling.wheel import provenance
from generator.errors import BuildError, FeedstockError, SelectionError
from generator.feedstock import Source, parse_feedstock

DIGEST = hashlib.sha256(b"source").hexdigest()
ROW = f"""\
channel: mine
maintainers: [me]
indexes: {{own: {{kind: folder, url: wheels}}}}
trains: {{stable: {{indexes: [own]}}}}
subdirs: {{linux-armv7l: {{accelerators: [cpu]}}}}
sources:
  small:
    project: small
    version: "1.0"
    local: mine1
    subdir: linux-armv7l
    python: "3.13"
    suite: trixie
    source: pkg:deb/debian/small@1.0-1?arch=source
    files: {{small_1.0.orig.tar.xz: {DIGEST}}}
    targets: [part, whole]
    epoch: 1700000000
"""
GB = 10**9


def _sources(text: str = ROW) -> dict[str, Source]:
    return parse_feedstock(text.encode(), "feedstock.yaml").sources


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        (DIGEST, "12ab", "sources.small.files.small_1.0.orig.tar.xz"),
        ("small_1.0.orig.tar.xz:", "../small:", "sources.small.files"),
        ('version: "1.0"', "version: 1.0+x", "sources.small.version"),
        ("subdir: linux-armv7l", "subdir: linux-aarch64", "sources.small.subdir"),
        ("?arch=source", "", "sources.small.source"),
        ("targets: [part, whole]", "targets: [../part]", "sources.small.targets"),
        ("epoch:", "epoche:", "perhaps you meant 'epoch'"),
    ],
)
def test_a_row_that_does_not_fit_is_named(right, wrong, said):
    with pytest.raises(FeedstockError) as found:
        _sources(ROW.replace(right, wrong))
    assert said in found.value.what


def test_globs_take_targets_in_the_rows_order():
    rows = _sources()
    assert select(rows, ()) == {"small": ("part", "whole", "wheel")}
    assert select(rows, ("small",)) == {"small": ("part", "whole", "wheel")}
    assert select(rows, ("small/w*", "*/part")) == {"small": ("part", "whole", "wheel")}
    assert select(rows, ("small/part",)) == {"small": ("part",)}
    with pytest.raises(SelectionError, match="takes nothing"):
        select(rows, ("small/other",))
    with pytest.raises(SelectionError, match="no rows"):
        select({}, ())


def test_jobs_are_as_many_as_fit_when_the_largest_units_meet():
    memory = compiling().memory
    assert fitting_jobs(2, 24 * GB, memory) == 2
    assert fitting_jobs(16, 4 * GB, memory) == 1
    assert fitting_jobs(16, 1 * GB, memory) == 1
    many = fitting_jobs(16, 12 * GB, memory)
    assert memory.of(many) <= 11 * GB < memory.of(many + 1)


def test_what_it_takes_is_said_before_and_not_made_up():
    source = _sources()["small"]
    unknown = plan("small", source, ("part",), 2)
    assert (unknown.hours, unknown.disk) == (None, None)
    assert "never measured" in " ".join(unknown.sentences())
    torch = plan("torch", replace(source, project="torch"), ("c10",), 2)
    assert "92 units" in " ".join(torch.sentences())
    assert torch.hours is not None
    with pytest.raises(SelectionError, match="no toolchain"):
        plan("small", replace(source, suite="sid"), ("part",), 2)


NINJA = """\
@armtorch 1 4@ Building CXX object a.cpp.o
FAILED: [code=1] b.cpp.o
g++ -c b.cpp
b.cpp:3:5: error: 'x' was not declared
b.cpp:4:5: error: a second one
@armtorch 2 4@ Building CXX object c.cpp.o
FAILED: lib/d.so
ld: undefined reference to `y'
"""


def test_units_and_the_first_cause_of_each_failure_are_read():
    progress = Progress()
    for line in NINJA.splitlines():
        progress.read(line)
    assert (progress.done, progress.total) == (2, 4)
    assert progress.failures == [
        Failure("b.cpp.o", "error: 'x' was not declared"),
        Failure("lib/d.so", "undefined reference to `y'"),
    ]


def test_a_deadline_interrupts_it(tmp_path):
    progress = Progress()
    command, log = ["sleep", "60"], tmp_path / "log"
    run_ninja(command, log, deadline=0.0, tell=lambda _: None, progress=progress)
    assert (progress.stopped, progress.code) == ("time", -signal.SIGINT)


def test_what_it_took_is_known_where_somebody_ends_it(tmp_path):
    def tell(_: Progress) -> None:
        raise KeyboardInterrupt

    progress = Progress()
    command = ["sh", "-c", "head -c 50000000 /dev/zero | cksum"]
    with pytest.raises(KeyboardInterrupt):
        run_ninja(command, tmp_path / "log", deadline=None, tell=tell, progress=progress)
    assert progress.seconds > 0
    assert progress.largest > 0


def test_a_run_that_goes_on_counts_what_earlier_ones_made(tmp_path):
    path = tmp_path / "progress.json"
    first = _State.read(path, "whole")
    first.see(Progress(done=1, total=10))
    first.seconds = 5.0
    first.write()
    second = _State.read(path, "whole")
    rest = Progress(done=2, total=6)
    second.see(rest)
    assert (second.total, second.done(rest), second.seconds) == (10, 6, 5.0)
    assert _State.read(path, "part").total == 0


@pytest.fixture
def tree(tmp_path) -> Tree:
    debs = (Listed("gcc_1_amd64.deb", 3, "ab"),)
    root = Root(folder=tmp_path / "root", packages=debs, compiler="0123")
    return Tree(folder=tmp_path / "tree", root=root, cache=tmp_path / "ccache", environment={})


def test_other_inputs_have_another_tree(tree, tmp_path):
    source = _sources()["small"]
    patch = tmp_path / "a.patch"
    patch.write_text("--- a\n+++ b\n")
    folders = {
        tree_folder(tmp_path, "small", row, patches, tree.root, {})
        for row in (source, replace(source, flags={"USE_X": "ON"}))
        for patches in ((), (patch,))
    }
    assert len(folders) == 4


def test_a_source_of_other_bytes_is_fetched_anew_or_named(tmp_path):
    source = _sources()["small"]
    path = tmp_path / "sources" / "small_1.0.orig.tar.xz"

    def lost():
        raise BuildError("404", where="apt", next_step="")

    def forging():
        path.write_bytes(b"forged")
        return lost()

    with pytest.raises(BuildError, match="404"):
        fetch_files(tmp_path, source, lost)
    with pytest.raises(BuildError, match="is not to be had"):
        fetch_files(tmp_path, source, forging)
    assert not path.exists()
    path.write_bytes(b"half")  # what a kill leaves
    with pytest.raises(BuildError, match="404"):
        fetch_files(tmp_path, source, lost)
    path.write_bytes(b"source")
    assert fetch_files(tmp_path, source, lost) == {path.name: path}


def test_patches_are_taken_in_the_order_of_their_names(tmp_path):
    source = replace(_sources()["small"], patches="small")
    with pytest.raises(FeedstockError, match="no patches"):
        patches_of(source, tmp_path)
    folder = tmp_path / "sources/small"
    folder.mkdir(parents=True)
    for name in ("02-b.patch", "01-a.patch", "README"):
        (folder / name).touch()
    assert [path.name for path in patches_of(source, tmp_path)] == ["01-a.patch", "02-b.patch"]


def test_the_account_of_a_wheel_has_nothing_of_the_machine(tree, tmp_path):
    patch = tmp_path / "a.patch"
    patch.write_text("x")
    account = provenance(tree, _sources()["small"], (patch,), {}, "cd")
    assert str(tmp_path) not in json.dumps(account)
    assert account["packages"] == {"gcc_1_amd64.deb": "ab"}
    assert list(account["source"]["patches"]) == ["a.patch"]


def test_committed_patches_are_of_committed_rows(committed: Path):
    rows = parse_feedstock((committed / "feedstock.yaml").read_bytes(), "feedstock.yaml").sources
    named = {row.patches for row in rows.values() if row.patches}
    assert named == {path.name for path in (committed / "sources").iterdir()}
    for row in rows.values():
        plan("row", row, (*row.targets, "wheel")[:1], 1)

"""The replay keeps GitHub's rules: a workflow that breaks one fares there as it would at GitHub.

One test a row of tests/runner_rules.yaml, on workflows of two lines.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from generator.feedstock import read_feedstock
from generator.rendering import workflow_files
from tests.own_feedstock import DECLARED
from tests.replayed_actions import git
from tests.replayed_expressions import evaluate, filled, holds
from tests.replayed_queue import Queue, concurrency
from tests.replayed_rules import rule, rules
from tests.replayed_runner import other_user
from tests.replayed_storage import Artifacts, Caches
from tests.replaying import Replay

CHECKOUT = {"uses": "actions/checkout@v0"}
READ = {"contents": "read"}
Making = Callable[..., Replay]


@pytest.fixture
def making(tmp_path: Path) -> Making:
    """Make a repository of workflows; a job is its steps, or the whole of it."""

    def make(**workflows: Any) -> Replay:
        first = tmp_path / "first"
        for name, text in workflows.items():
            path = first / f".github/workflows/{name}.yml"
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("w") as file:
                YAML(typ="safe", pure=True).dump(
                    {"permissions": {}, "on": {"push": {}}} | text, file
                )
        git(first, "init", "-q", "-b", "main")
        for message in ("One", "Two"):
            (first / "file").write_text(message)
            git(first, "add", "-A")
            git(first, "commit", "-qm", message)
        git(tmp_path, "clone", "-q", "--bare", str(first), str(tmp_path / "origin.git"))
        return Replay(tmp_path, {})

    return make


def job(*commands: str | dict[str, Any], **more: Any) -> dict[str, Any]:
    steps = [{"run": each} if isinstance(each, str) else each for each in commands]
    return {"permissions": READ, "steps": [CHECKOUT, *steps]} | more


def one(making: Making, *commands: str | dict[str, Any], **more: Any) -> None:
    """Run a job, and more of them, which all have to succeed."""
    done = making(build={"jobs": {"only": job(*commands), **more}}).run("build", "push")
    assert all(each.ok for each in done.values()), done


def test_every_rule_has_a_source_and_a_test():
    for name, row in rules().items():
        assert row["source"].startswith(("https://docs.github.com/", "https://github.com/")), name
        assert row["says"], name
        assert f"test_{name}" in globals(), name


@pytest.mark.skipif(os.geteuid() == 0 and not other_user(), reason="no namespace may be made")
def test_not_root(making):
    """Where root runs the tests, steps have none of its rights."""
    one(making, 'test "$(id -u)" != 0', "! mount -t tmpfs none /mnt", "! chown 1234 file")


def test_own_home(making):
    steps = ('test ! -e "$HOME/x"', 'touch "$HOME/x"', "test ! -e y && touch y")
    replay = making(build={"jobs": {"a": job(*steps), "b": job(*steps)}})
    assert all(each.ok for each in replay.run("build", "push").values())


def test_default_variables(making, monkeypatch):
    monkeypatch.setenv("SECRET_OF_MINE", "x")
    one(making, 'test "$CI$GITHUB_ACTIONS" = truetrue', 'test -z "${SECRET_OF_MINE+x}"')


def test_image_path(making):
    places = [Path(sys.executable).parent.as_posix(), *rule("image_path").split(":")]
    one(making, f'test "$PATH" = {":".join(places)}', "! command -v nvidia-smi")


def test_shallow_checkout(making):
    count = {"run": 'test "$(git rev-list --count HEAD)" = "$WANTED"'}
    deep = {**CHECKOUT, "with": {"fetch-depth": 0}}
    whole = {"permissions": READ, "steps": [deep, {**count, "env": {"WANTED": "2"}}]}
    one(making, {**count, "env": {"WANTED": "1"}}, beside=whole)


def calling(making: Making, inner: dict[str, Any], **more: Any) -> Replay:
    callee = {"on": {"workflow_call": {"inputs": {}}}, "jobs": {"inner": inner}}
    call = {"uses": "$/.github/workflows/callee.yml", "with": {}, "permissions": READ}
    return making(build={"jobs": {"outer": call | more}}, callee=callee)


def test_named_permissions(making):
    replay = calling(making, job("true", permissions={**READ, "id-token": "write"}))
    with pytest.raises(AssertionError, match="inner asks for id-token"):
        replay.run("build", "push")
    assert replay.job("callee", "inner").ok
    status, _ = replay.hub.answer("GET", "/repos/me/armtorch/pulls", None)
    assert status == 403


def test_environment_secrets(making):
    secrets = {"": {"COMMON": "c"}, "publish": {"KEY": "k"}, "retire": {"KEY": "r"}}
    shows = {"run": 'test "$KEY$COMMON" = "$WANTED"'}
    env = {"KEY": "${{ secrets.KEY }}", "COMMON": "${{ secrets.COMMON }}"}
    jobs = {
        "plain": job({**shows, "env": {**env, "WANTED": "c"}}),
        "publish": job({**shows, "env": {**env, "WANTED": "kc"}}, environment="publish"),
    }
    replay = making(build={"jobs": jobs})
    replay.secrets = secrets
    assert all(each.ok for each in replay.run("build", "push").values())
    assert replay.saw == {"plain": {"COMMON"}, "publish": {"COMMON", "KEY"}}


def test_environment_secrets_do_not_come_to_a_called_workflow(making):
    replay = calling(making, job("true", environment="publish"))
    replay.secrets = {"publish": {"KEY": "k"}}
    replay.run("build", "push")
    assert replay.saw == {"outer / inner": set()}


def test_fork_pull_requests(making):
    writes = {"contents": "write", "pull-requests": "write", "id-token": "write"}
    replay = making(build={"jobs": {"only": job("true", permissions=writes)}})
    replay.secrets = {"": {"COMMON": "c"}}
    git(replay.origin, "branch", "theirs", "main")
    replay.run("build", "pull_request", fork="theirs")
    assert replay.saw == {"only": set()}
    assert not replay.hub.may("contents")
    assert not replay.hub.may("id-token", "read")


def test_needs_all(making):
    """A job two behind one that was skipped is skipped, too, but where it says otherwise."""
    jobs = {
        "skipped": job("true", **{"if": "false"}),
        "near": job("true", needs="skipped", **{"if": "${{ always() }}"}),
        "far": job("true", needs=["near"]),
        "asked": job(
            "true", needs=["near"], **{"if": "!cancelled() && needs.near.result == 'success'"}
        ),
    }
    assert list(making(build={"jobs": jobs}).run("build", "push")) == ["near", "asked"]


def test_rerun_failed(making):
    """The second time the machine has what it lacked the first time."""
    flag = {"run": 'test -n "$FLAG"', "env": {"FLAG": "${{ vars.FLAG }}"}}
    said = {"id": "a", "run": 'printf "x<<E\\n%s\\nE\\n" "$RANDOM" >> "$GITHUB_OUTPUT"'}
    jobs = {
        "first": job(said, outputs={"x": "${{ steps.a.outputs.x }}"}),
        "second": job(flag, needs="first"),
        "third": job("true", needs="second"),
        "beside": job("true"),
    }
    replay = making(build={"jobs": jobs})
    done = replay.run("build", "push")
    assert {name: each.ok for name, each in done.items()} == {
        "first": True, "beside": True, "second": False,
    }  # fmt: skip
    replay.variables["FLAG"] = "yes"
    again = replay.rerun_failed()
    assert [name for name in again if again[name] is not done.get(name)] == ["second", "third"]
    assert again["first"].given["x"] == done["first"].given["x"] != ""


def test_one_pending():
    for group, ended in (({}, ["b"]), ({"queue": "max"}, [])):
        queue = Queue()
        for name in "abc":
            queue.come(name, group)
        assert queue.ended == ended
    many = Queue()
    for number in range(rule("one_pending") + 2):
        many.come(str(number), {"queue": "max"})
    assert many.ended == ["1"]
    queue = Queue()
    queue.come("a", {"cancel-in-progress": True})
    queue.come("b", {"cancel-in-progress": True})
    assert (queue.running, queue.ended) == ("b", ["a"])


def test_who_publishes_waits_for_a_turn_and_is_not_ended():
    files = workflow_files(read_feedstock(DECLARED))
    queue = Queue()
    for name, job in (("build", "publish"), ("nightly", "retire"), ("build", "publish")):
        text = YAML(typ="safe", pure=True).load(files[f".github/workflows/{name}.yml"])
        group = concurrency(text, job, {})
        assert group["group"] == "publish"
        queue.come(job, group)
    assert (queue.running, queue.ended) == ("publish", [])
    assert [queue.leave() for _ in range(3)] == ["retire", "publish", ""]


def test_token_starts_nothing(making):
    replay = making(build={"on": {"push": {"branches": ["main"]}}, "jobs": {}})
    replay.hub.happen("push", "main", by_token=True)
    assert replay.started() == []
    replay.hub.happen("push", "main")
    replay.hub.happen("push", "other")
    assert replay.started() == [("build", "push")]
    start = ("POST", "/repos/me/armtorch/actions/workflows/build.yml/dispatches")
    assert replay.hub.answer(*start, {"ref": "main", "inputs": {}})[0] == 403
    replay.hub.permissions = {"actions": "write"}
    assert replay.hub.answer(*start, {"ref": "main", "inputs": {}})[0] == 204
    assert replay.started() == [("build", "workflow_dispatch")]


def request(making: Making, change: str, ref: str = "main") -> tuple[Replay, Any]:
    """Change a file where a release was tried, or main is, and propose that."""
    given = {"branch": "armtorch-release", "base": "main", "commit-message": "Proposed"}
    made = {
        "uses": "peter-evans/create-pull-request@v0",
        "with": {**given, "body-path": "${{ vars.BODY }}"},
    }
    there = {**CHECKOUT, "with": {"ref": "${{ vars.REF }}", "fetch-depth": 0}}
    rights = {"contents": "write", "pull-requests": "write"}
    steps = [there, {"run": change}, made]
    replay = making(build={"jobs": {"only": {"permissions": rights, "steps": steps}}})
    tried = replay.folder / "tried"
    git(replay.folder, "clone", "-q", str(replay.origin), str(tried))
    (tried / "new").write_text("1")
    git(tried, "add", "-A")
    git(tried, "commit", "-qm", "Tried")
    git(tried, "push", "-q", "origin", "HEAD:armtorch-release")
    replay.variables["BODY"] = str(tried / "new")
    replay.variables["REF"] = git(tried, "rev-parse", "HEAD") if ref == "tried" else ref
    return replay, replay.run("build", "push")["only"]


def test_token_writes_no_workflow(making):
    replay, done = request(making, "echo >> .github/workflows/build.yml")
    assert not done.ok
    assert "refusing to allow a GitHub App" in done.said
    assert replay.hub.pulls == []


def test_request_onto_base(making):
    """What was tried is not in it, since that is in a commit already."""
    replay, done = request(making, "echo 2 > other", "tried")
    assert done.ok, done.said
    there = git(replay.origin, "ls-tree", "--name-only", "armtorch-release").split()
    assert there == [".github", "file", "other"]


def test_request_onto_base_fails_where_it_does_not_fit(making):
    assert not request(making, "echo 2 > new", "tried")[1].ok, "it is not there to be changed"


def test_artifact_once(tmp_path):
    artifacts = Artifacts(tmp_path / "artifacts")
    (tmp_path / "x").write_text("1")
    give = {"name": "a", "root": tmp_path, "files": [tmp_path / "x"]}
    artifacts.upload(**give, overwrite=False)
    with pytest.raises(AssertionError, match="two jobs"):
        artifacts.upload(**give, overwrite=True)
    artifacts.start_attempt()
    with pytest.raises(AssertionError, match="409"):
        artifacts.upload(**give, overwrite=False)
    artifacts.start_attempt()
    artifacts.upload(**give, overwrite=True)
    artifacts.start_run()
    artifacts.upload(**give, overwrite=False)


def test_artifact_alone(making):
    upload = {"uses": "actions/upload-artifact@v0"}
    given = {"path": "made/*", "if-no-files-found": "error"}
    first = job("mkdir made && touch made/x", {**upload, "with": {**given, "name": "a-1"}})
    down = {"uses": "actions/download-artifact@v0", "with": {"pattern": "a-*", "path": "got"}}
    second = job("mkdir made && touch made/y", {**upload, "with": {**given, "name": "a-2"}})
    jobs = {
        "first": first,
        "alone": job(down, "test -e got/x", needs="first"),
        "second": {**second, "needs": "alone"},
        "both": job(down, "test -e got/a-1/x && test -e got/a-2/y", needs="second"),
    }
    done = making(build={"jobs": jobs}).run("build", "push")
    assert [each.ok for each in done.values()] == [True] * 4, done


def kept(place: Path, name: str, content: str = "1") -> list[Path]:
    folder = place / name
    folder.mkdir(exist_ok=True)
    (folder / "file").write_text(content)
    return [folder]


def test_cache_once(tmp_path):
    caches = Caches(tmp_path / "caches")
    caches.save("key", "main", kept(tmp_path, "made"))
    caches.save("key", "main", kept(tmp_path, "made", "other"))
    assert caches.restore("key", [], ["main"], [tmp_path / "got"])
    assert (tmp_path / "got/file").read_text() == "1"


def test_cache_scope(tmp_path):
    caches = Caches(tmp_path / "caches")
    caches.save("key-1", "pull/1", kept(tmp_path, "made"))
    caches.save("key-2", "main", kept(tmp_path, "made", "2"))
    assert not caches.restore("key-1", ["key-"], ["pull/2", "main"], [tmp_path / "got"])
    assert (tmp_path / "got/file").read_text() == "2", "a key that begins so, of the default branch"
    assert caches.restore("key-1", [], ["pull/1", "main"], [tmp_path / "own"])
    assert not caches.restore("key-1", [], ["main"], [tmp_path / "none"])


def test_cache_bytes(tmp_path):
    caches = Caches(tmp_path / "caches", limit=3)
    for key in ("a", "b"):
        caches.save(key, "main", kept(tmp_path, "made"))
    caches.restore("a", [], ["main"], [tmp_path / "got"])
    caches.save("c", "main", kept(tmp_path, "made", "22"))
    assert caches.keys == {"a", "c"}, "b was used least lately"


def test_cache_days(tmp_path):
    now = time.time()
    caches = Caches(tmp_path / "caches", clock=lambda: now)
    for key in ("read", "unread"):
        caches.save(key, "main", kept(tmp_path, "made"))
    now += 5 * 86400
    assert caches.restore("read", [], ["main"], [tmp_path / "got"])
    now += 3 * 86400
    caches.restore("none", [], ["main"], [])
    assert caches.keys == {"read"}


def test_output_bytes(making):
    size = rule("output_bytes")
    loud = f'printf "x<<E\\n%0{size + 1}d\\nE\\n" 0 >> "$GITHUB_OUTPUT"'
    step = {"id": "a", "run": loud}
    replay = making(build={"jobs": {"a": job(step, outputs={"x": "${{ steps.a.outputs.x }}"})}})
    with pytest.raises(AssertionError, match="too large"):
        replay.run("build", "push")


def test_quiet_days(making):
    hub = making(build={"jobs": {}}).hub
    hub.pushed = "2026-09-23T00:00:00Z"
    assert hub.schedules_end
    hub.pushed = "2026-09-24T00:00:00Z"
    assert not hub.schedules_end


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a.b == 'X' && 'yes' || 'no'", "yes"),
        ("!none && (a.b != 'x' || true)", True),
        ("none || 'it''s'", "it's"),
        ("true == 1", True),
        ("none == ''", True),
        ("none == 'x'", False),
        ("'false' && 'a text that is not empty holds'", "a text that is not empty holds"),
        ("double(two)", 4),
    ],
)
def test_an_expression(text, value):
    values = {"a.b": "x", "two": 2}
    assert evaluate(text, values, {"double": lambda given: given * 2}) == value


def test_files_whose_hash_is_asked_for(making):
    made = "mkdir -p made/below && touch made/below/file"
    steps = [
        {"run": "exit 1", "if": f"hashFiles('{pattern}') {operator} ''"}
        for pattern, operator in (("none/**", "!="), ("made/**", "=="), ("made/*/*", "=="))
    ]
    one(making, made, *steps)


def test_a_text_with_expressions():
    values = {"a": True, "b": "x"}
    assert filled("${{ a }}", values, {}) is True
    assert filled("${{ a }}/${{ b }}/${{ c }}", values, {}) == "true/x/"
    assert holds("a", values, {"success": lambda: True})
    assert not holds("a", values, {"success": lambda: False})
    assert holds("${{ !cancelled() }}", values, {"cancelled": lambda: False})

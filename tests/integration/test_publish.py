"""publish, yank and retire on small packages: folders, S3, and hosts that answer as they do."""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from generator.channel import LocalChannel
from generator.channel.patching import PACKAGE
from generator.channel.run_exports import FILE
from generator.commands import cli
from generator.errors import (
    AbsentError,
    ArmtorchError,
    BudgetError,
    ConflictError,
    DeclinedError,
    IntegrityError,
    SelectionError,
    UnreachableError,
)
from tests import servers
from tests.conda_files import write_conda
from tests.own_feedstock import DECLARED
from tests.published import (
    SUBDIR,
    Read,
    assert_consistent,
    assert_solves,
    folder_reader,
    make_packages,
    s3_reader,
)

pytestmark = pytest.mark.integration
NAMES = ("alpha", "beta", "gamma")


@pytest.fixture
def source(tmp_path: Path) -> LocalChannel:
    channel = LocalChannel(tmp_path / "source" / "channel")
    make_packages(channel, NAMES)
    return channel


@pytest.fixture
def feedstock(tmp_path: Path) -> Path:
    """A feedstock with nothing but a declaration, since publishing needs no recipes."""
    path = tmp_path / "feedstock.yaml"
    path.write_text(DECLARED.read_text())
    return path


@pytest.fixture(scope="module")
def bucket():
    with servers.s3() as found:
        yield found


@pytest.fixture(params=["folder", "s3"])
def place(request, tmp_path, bucket) -> tuple[str, Read, str, dict[str, str]]:
    """An address, a reader, the URL clients use, and the environment."""
    if request.param == "folder":
        root = tmp_path / "mirror"
        return str(root), folder_reader(root), root.as_uri(), {}
    prefix = re.sub(r"\W", "-", request.node.name)
    reader = s3_reader(bucket.operator(prefix))
    return f"s3://bucket/{prefix}", reader, bucket.url(prefix), bucket.environment


def run(feedstock: Path, *arguments: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner(env=env or {}).invoke(
        cli, ["--feedstock", str(feedstock), "-q", *arguments], standalone_mode=False
    )


def ok(result: Result) -> str:
    if result.exception is not None:
        raise result.exception
    return result.stdout


def test_packages_come_once_and_are_served(source, feedstock, place):
    to, read, url, env = place
    arguments = ["publish", "--from", str(source.root), "--to", to, "--json"]
    plan = json.loads(ok(run(feedstock, *arguments, "--dry-run", env=env)))
    assert [row["action"] for row in plan["packages"]] == ["upload"] * 3
    assert not plan["published"]
    assert read(f"{SUBDIR}/repodata.json") is None, "a dry run writes nothing"
    done = json.loads(ok(run(feedstock, *arguments, env=env)))
    assert done["bytes_sent"] == plan["bytes_to_send"] == done["bytes_after"] > 0
    assert assert_consistent(read) == {f"{name}-1.0-0.conda" for name in NAMES}
    assert_solves(url, NAMES)
    exports = json.loads(read(f"{SUBDIR}/{FILE}") or b"")
    assert set(exports["packages.conda"]) == {f"{name}-1.0-0.conda" for name in NAMES}
    again = json.loads(ok(run(feedstock, *arguments, env=env)))
    assert {row["action"] for row in again["packages"]} == {"skip"}
    assert again["bytes_sent"] == 0


def test_what_was_made_from_the_same_inputs_is_skipped_though_its_bytes_are_others(
    feedstock, place, tmp_path
):
    """As after a repository moved, or a package was built by another version of the builder."""
    to, read, _, env = place
    key = f"{SUBDIR}/alpha-1.0-0.conda"
    channels = [LocalChannel(tmp_path / name) for name in ("before", "moved", "changed")]
    for channel, digest, commit in zip(channels, "aab", "123", strict=True):
        write_conda(
            channel.root,
            *("alpha", "1.0", "0"),
            files={"a": b"1"},
            digest=digest * 64,
            commit=commit,
        )
        channel.index()
    before, moved, changed = channels
    ok(run(feedstock, "publish", "--from", str(before.root), "--to", to, env=env))
    served = read(key)
    done = ok(run(feedstock, "publish", "--from", str(moved.root), "--to", to, "--json", env=env))
    (row,) = json.loads(done)["packages"]
    assert (row["action"], row["reason"]) == ("skip", "there, made from the same inputs")
    assert read(key) == served
    refused = run(feedstock, "publish", "--from", str(changed.root), "--to", to, env=env)
    assert isinstance(refused.exception, ConflictError)


@pytest.mark.parametrize(
    "forged",
    [{"files": {"a": b"2"}}, {"files": {"a": b"1", "b": b""}}, {"depends": ["evil"]},
     {"installable": True}],
    ids=["a file", "one more", "what it needs", "its list of files"],
)  # fmt: skip
def test_one_that_only_states_the_same_inputs_is_not_taken_for_the_same(
    forged, feedstock, place, tmp_path
):
    to, _, _, env = place
    there, here = LocalChannel(tmp_path / "there"), LocalChannel(tmp_path / "here")
    own = {"files": {"a": b"1"}, "digest": "a" * 64}
    for channel, made in ((there, own | forged), (here, own)):
        write_conda(channel.root, "alpha", "1.0", "0", **made)
        channel.index()
    ok(run(feedstock, "publish", "--from", str(there.root), "--to", to, env=env))
    refused = run(feedstock, "publish", "--from", str(here.root), "--to", to, env=env)
    assert isinstance(refused.exception, ConflictError)


def test_other_bytes_under_a_name_are_refused_and_replaced_by_force(
    source, feedstock, place, tmp_path
):
    to, read, url, env = place
    ok(run(feedstock, "publish", "--from", str(source.root), "--to", to, env=env))
    before = read(f"{SUBDIR}/alpha-1.0-0.conda")
    other = LocalChannel(tmp_path / "other" / "channel")
    make_packages(other, ["alpha"], seed=1)
    arguments = ["publish", "--from", str(other.root), "--to", to]
    refused = run(feedstock, *arguments, env=env)
    assert isinstance(refused.exception, ConflictError)
    assert "alpha-1.0-0.conda" in str(refused.exception)
    assert read(f"{SUBDIR}/alpha-1.0-0.conda") == before
    ok(run(feedstock, *arguments, "--force", env=env))
    assert read(f"{SUBDIR}/alpha-1.0-0.conda") not in {before, None}
    assert assert_consistent(read) >= {f"{name}-1.0-0.conda" for name in NAMES}
    assert_solves(url, NAMES)


def test_globs_choose_and_a_glob_without_a_match_is_said(source, feedstock, tmp_path):
    to = str(tmp_path / "mirror")
    ok(run(feedstock, "publish", "*/al*", "--from", str(source.root), "--to", to))
    assert assert_consistent(folder_reader(tmp_path / "mirror")) == {"alpha-1.0-0.conda"}
    missing = run(feedstock, "publish", "*/zeta*", "--from", str(source.root), "--to", to)
    assert isinstance(missing.exception, AbsentError)
    empty = run(feedstock, "publish", "--from", str(tmp_path), "--to", to)
    assert isinstance(empty.exception, AbsentError)


def test_a_damaged_package_is_not_published(source, feedstock, place):
    to, read, _, env = place
    path = source.root / SUBDIR / "beta-1.0-0.conda"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    result = run(feedstock, "publish", "--from", str(source.root), "--to", to, env=env)
    assert isinstance(result.exception, IntegrityError)
    assert assert_consistent(read) == {"alpha-1.0-0.conda", "gamma-1.0-0.conda"}


def test_a_budget_is_kept_and_names_what_to_retire(source, feedstock, tmp_path):
    make_packages(source, NAMES, size=9_000)
    total = sum(record.size for record in source.records(SUBDIR))
    old = LocalChannel(tmp_path / "old" / "channel")
    make_packages(old, ["alpha"], version="0.1.dev1", size=20_000)
    make_packages(old, ["alpha"], version="0.1.dev2", size=20_000)
    feedstock.write_text(
        feedstock.read_text()
        + f"destinations:\n  mirror:\n    to: {tmp_path}/mirror\n    budget: {total + 30_000}\n"
        "    retention: {keep: {nightly: {versions: 1}}}\n"
    )
    ok(run(feedstock, "publish", "--from", str(old.root), "--to", "mirror"))
    refused = run(feedstock, "publish", "--from", str(source.root), "--to", "mirror")
    assert isinstance(refused.exception, BudgetError)
    assert "alpha-0.1.dev1-0.conda" in refused.exception.next_step
    read = folder_reader(tmp_path / "mirror")
    assert assert_consistent(read) == {"alpha-0.1.dev1-0.conda", "alpha-0.1.dev2-0.conda"}
    plan = json.loads(ok(run(feedstock, "retire", "--to", "mirror", "--dry-run", "--json")))
    assert [row["package"] for row in plan["packages"]] == [f"{SUBDIR}/alpha-0.1.dev1-0.conda"]
    assert (tmp_path / "mirror" / SUBDIR / "alpha-0.1.dev1-0.conda").is_file()
    ok(run(feedstock, "retire", "--to", "mirror"))
    assert not (tmp_path / "mirror" / SUBDIR / "alpha-0.1.dev1-0.conda").exists()
    assert "alpha-0.1.dev2-0.conda" in assert_consistent(read)
    ok(run(feedstock, "publish", "--from", str(source.root), "--to", "mirror"))
    assert_solves((tmp_path / "mirror").as_uri(), NAMES)


def test_a_yanked_build_is_not_solved_and_its_file_stays(source, feedstock, place):
    to, read, url, env = place
    newer = LocalChannel(source.root)
    make_packages(newer, ["alpha"], version="2.0")
    ok(run(feedstock, "publish", "--from", str(source.root), "--to", to, env=env))
    key = f"{SUBDIR}/alpha-2.0-0.conda"
    missing = run(
        feedstock,
        "yank",
        f"{SUBDIR}/zeta-1-0.conda",
        "--reason",
        "it was never there",
        "--to",
        to,
        env=env,
    )
    assert isinstance(missing.exception, AbsentError)
    short = run(feedstock, "yank", key, "--reason", "bad", "--to", to, env=env)
    assert isinstance(short.exception, SelectionError)
    ok(run(feedstock, "yank", key, "--reason", "it upsets a test", "--to", to, env=env))
    names = assert_consistent(read)
    assert "alpha-2.0-0.conda" not in names
    assert "alpha-1.0-0.conda" in names
    assert read(key) is not None, "the file stays"
    assert "alpha-2.0-0.conda" in json.loads(read(f"{SUBDIR}/repodata.json") or b"")["removed"]
    if Path(to).is_dir():
        (patches,) = Path(to).glob(f"noarch/{PACKAGE}-*.conda")
        ok(run(feedstock, "verify", str(patches)))
        # whatever else lies under such a name is looked at
        forged = patches.with_name(f"{PACKAGE}-1-{'0' * 16}_0.conda")
        shutil.copy(source.root / key, forged)
        assert isinstance(run(feedstock, "verify", str(forged)).exception, ArmtorchError)
        forged.unlink()
    # the next publication applies the same hotfix, and taking the file away takes the mark away
    make_packages(newer, ["delta"])
    ok(run(feedstock, "publish", "--from", str(source.root), "--to", to, env=env))
    assert "alpha-2.0-0.conda" not in assert_consistent(read)
    for path in (feedstock.parent / ".ci/hotfixes").iterdir():
        path.unlink()
    ok(run(feedstock, "publish", "--from", str(source.root), "--to", to, env=env))
    assert "alpha-2.0-0.conda" in assert_consistent(read)
    assert_solves(url, [*NAMES, "delta"])


def test_a_hotfix_changes_a_range_reproducibly(source, feedstock, place):
    to, read, _, env = place
    make_packages(source, ["needy"], depends=["alpha >=1.0"])
    hotfix = feedstock.parent / ".ci/hotfixes/alpha-below-2.yaml"
    hotfix.parent.mkdir(parents=True)
    hotfix.write_text(
        'reason: "alpha 2 has another interface"\nmatch: needy 1.*\n'
        'depends: {replace: {"alpha >=1.0": "alpha >=1.0,<2"}}\n'
    )
    arguments = ["publish", "--from", str(source.root), "--to", to]
    ok(run(feedstock, *arguments, env=env))
    assert_consistent(read)
    rows = [json.loads(read(f"{SUBDIR}/repodata.json") or b"")["packages.conda"]]
    assert rows[0]["needy-1.0-0.conda"]["depends"] == ["alpha >=1.0,<2"]
    assert rows[0]["alpha-1.0-0.conda"]["depends"] == []
    ok(run(feedstock, *arguments, env=env))
    rows.append(json.loads(read(f"{SUBDIR}/repodata.json") or b"")["packages.conda"])
    assert rows[0] == rows[1], "applied to what the packages say, not to what was patched"


def test_nothing_secret_is_shown(source, feedstock, bucket):
    env = {**bucket.environment, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    result = run(feedstock, "publish", "--from", str(source.root), "--to", "s3://bucket/x", env=env)
    assert isinstance(result.exception, UnreachableError)
    assert "test-secret" not in f"{result.output}{result.exception!s}{result.exception!r}"
    none = run(
        feedstock,
        "publish",
        "--from",
        str(source.root),
        "--to",
        "s3://bucket/x",
        env={"AWS_ACCESS_KEY_ID": "", "HOME": "/nonexistent", "AWS_ENDPOINT_URL": ""},
    )
    assert isinstance(none.exception, DeclinedError)


@pytest.mark.parametrize(
    "to", ["ftp://server/x", "https://example.org/x", "s3://", "https://prefix.dev/", "nowhere"]
)
def test_an_unknown_destination_is_a_usage_error(source, feedstock, to):
    result = run(feedstock, "publish", "--from", str(source.root), "--to", to)
    assert isinstance(result.exception, SelectionError)


def repodata(source: LocalChannel) -> bytes:
    return (source.root / SUBDIR / "repodata.json").read_bytes()


def test_prefix_dev_gets_what_its_api_takes(source, feedstock):
    """Recorded: a local server that answers as prefix.dev's upload API is documented to."""

    def answer(method: str, path: str) -> tuple[int, bytes] | None:
        return (201, b"{}") if method == "POST" else None

    with servers.recorder(answer) as server:
        to = f"prefix+{server.url}/torch"
        ok(
            run(
                feedstock,
                "publish",
                "--from",
                str(source.root),
                "--to",
                to,
                "--label",
                "nightly",
                env={"PREFIX_API_KEY": "pfx_secret"},
            )
        )
    posts = [row for row in server.asked if row[0] == "POST"]
    assert {row[1] for row in posts} == {"/api/v1/upload/torch-nightly"}
    assert len(posts) == 3
    for _, _, headers, body in posts:
        assert headers["authorization"] == "Bearer pfx_secret"
        name = re.search(rb'filename="([a-z]+-1\.0-0\.conda)"', body)
        assert name is not None
        assert (source.root / SUBDIR / name[1].decode()).read_bytes() in body


def test_anaconda_org_gets_what_its_api_takes(source, feedstock):
    """Recorded: package, release, stage, the form to the storage, commit, to the label."""
    known: list[bytes] = []

    def answer(method: str, path: str) -> tuple[int, bytes] | None:
        if "repodata" in path:
            return (200, known[0]) if known and f"/{SUBDIR}/" in path else None
        if path.startswith("/stage/"):
            form = {"post_url": f"{server.url}/storage", "form_data": {"key": "v"}, "dist_id": "d"}
            return 200, json.dumps(form).encode()
        return (200, b"{}") if method != "GET" else None

    with servers.recorder(answer) as server:
        arguments = [
            "publish",
            "--from",
            str(source.root),
            "--to",
            f"anaconda+{server.url}/owner",
            "--label",
            "nightly",
        ]
        env = {"ANACONDA_API_KEY": "secret"}
        ok(run(feedstock, *arguments, env=env))
        sent = server.requests()
        for name in NAMES:
            place = f"owner/{name}/1.0"
            for step in (
                f"POST /package/owner/{name}",
                f"POST /release/{place}",
                f"POST /stage/{place}/{SUBDIR}/{name}-1.0-0.conda",
                f"POST /commit/{place}/{SUBDIR}/{name}-1.0-0.conda",
            ):
                assert sent.count(step) == 1, step
        stages = [body for _, path, _, body in server.asked if path.startswith("/stage/")]
        assert all(json.loads(body)["channels"] == ["nightly"] for body in stages)
        assert f"GET /conda/owner/label/nightly/{SUBDIR}/repodata.json" in sent
        # what the host's repodata has is skipped
        known.append(repodata(source))
        server.asked.clear()
        again = json.loads(ok(run(feedstock, *arguments, "--json", env=env)))
        assert {row["action"] for row in again["packages"]} == {"skip"}
        assert all(line.startswith("GET ") for line in server.requests())
    unseen = run(feedstock, "retire", "--to", f"anaconda+{server.url}/owner", env=env)
    assert isinstance(unseen.exception, UnreachableError), "the server is gone"


@pytest.mark.parametrize(
    ("status", "kind"),
    # 422: a file that the host does not take; the uploader's words for it are those of a conflict
    [
        (401, DeclinedError),
        (402, DeclinedError),
        (409, ConflictError),
        (422, DeclinedError),
    ],
)
def test_a_hosts_no_is_told_from_a_hosts_silence(source, feedstock, status, kind, monkeypatch):
    monkeypatch.setattr("generator.channel.hosted._INDEXED_WITHIN", 0.0)

    def answer(method: str, path: str) -> tuple[int, bytes] | None:
        return (status, b'{"error": "secret-key is not enough"}') if method == "POST" else None

    with servers.recorder(answer) as server:
        to = f"prefix+{server.url}/torch"
        result = run(
            feedstock,
            "publish",
            "--from",
            str(source.root),
            "--to",
            to,
            env={"PREFIX_API_KEY": "secret-key"},
        )
    assert isinstance(result.exception, kind)
    assert "secret-key" not in str(result.exception)


def test_artifactory_gets_one_put_a_package(source, feedstock):
    with servers.recorder(lambda method, _: (201, b"") if method == "PUT" else None) as server:
        to = f"artifactory+{server.url}/artifactory/conda-local"
        ok(
            run(
                feedstock,
                "publish",
                "--from",
                str(source.root),
                "--to",
                to,
                env={"ARTIFACTORY_TOKEN": "secret"},
            )
        )
    puts = {path: (headers, body) for verb, path, headers, body in server.asked if verb == "PUT"}
    assert set(puts) == {f"/artifactory/conda-local/{SUBDIR}/{n}-1.0-0.conda" for n in NAMES}
    for path, (headers, body) in puts.items():
        assert headers["authorization"] == "Bearer secret"
        assert body == (source.root / SUBDIR / Path(path).name).read_bytes()


def test_retention_counts_days(tmp_path, feedstock):
    channel = LocalChannel(tmp_path / "nightly" / "channel")
    for day in (1, 2):
        make_packages(channel, ["alpha"], version=f"0.1.dev{day}")
    made = datetime(2026, 1, 1, tzinfo=UTC)
    assert datetime.now(UTC) - made > timedelta(days=30)
    plan = json.loads(ok(run(feedstock, "retire", "--to", str(channel.root), "--json")))
    assert [row["package"] for row in plan["packages"]] == [f"{SUBDIR}/alpha-0.1.dev1-0.conda"]
    assert "days old" in plan["packages"][0]["reason"]
    assert assert_consistent(folder_reader(channel.root)) >= {"alpha-0.1.dev2-0.conda"}


def test_candidates_that_are_called_like_releases_are_retired(tmp_path, feedstock):
    channel = LocalChannel(tmp_path / "label" / "rc")
    for minor in range(4):
        make_packages(channel, ["alpha"], version=f"1.{minor}")
    for label, gone in (([], []), (["--label", "rc"], [f"{SUBDIR}/alpha-1.0-0.conda"])):
        to = str(tmp_path) if label else str(channel.root)
        plan = json.loads(ok(run(feedstock, "retire", "--to", to, *label, "--dry-run", "--json")))
        assert [row["package"] for row in plan["packages"]] == gone

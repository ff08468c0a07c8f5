"""Merging a release's pull request: what was tested and nothing else, once."""

from __future__ import annotations

import json

import pytest

from generator.ci.tried import marked, tells_of
from generator.errors import IntegrityError, MalformedError
from generator.provider import github
from generator.provider.answers import Hub, PullRequest
from generator.provider.github import GitHub
from generator.provider.gitlab import GitLab
from tests import servers

HEAD, MERGE = "a" * 40, "b" * 40


def merge(put: tuple[int, object], get: object = None, first: int = 0) -> tuple[str, list[bytes]]:
    """Merge at a server that answers so; return the commit and the bodies that were sent.

    ``first`` is the status of the first try, where that is another one.
    """
    statuses = iter((first,) if first else ())

    def answer(method: str, path: str) -> tuple[int, bytes] | None:
        assert path == "/repos/me/x/pulls/7" + ("/merge" if method == "PUT" else "")
        status, body = put if method == "PUT" else (200, get)
        status = next(statuses, status) if method == "PUT" else status
        return status, json.dumps(body).encode()

    with servers.recorder(answer) as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr(github, "_PAUSES", (0.01, 0))
        commit = GitHub(url=server.url, token="t").merge("me/x", 7, HEAD)  # noqa: S106 - no secret
        return commit, [body for *_, body in server.asked]


def test_the_tested_commit_is_merged_as_it_is() -> None:
    commit, sent = merge((200, {"sha": MERGE}))
    assert commit == MERGE
    # a squash would be another commit than the one that packages state
    assert [json.loads(body) for body in sent] == [{"sha": HEAD, "merge_method": "merge"}]


def test_a_run_whose_answer_was_lost_finds_it_merged() -> None:
    pull = {"merged": True, "head": {"sha": HEAD}, "merge_commit_sha": MERGE}
    assert merge((405, {"message": "Pull Request is not mergeable"}), pull)[0] == MERGE


@pytest.mark.parametrize("status", [405, 502])
def test_a_merge_that_fails_once_is_tried_again(status: int) -> None:
    commit, sent = merge((200, {"sha": MERGE}), {"merged": False}, status)
    assert (commit, len(sent)) == (MERGE, 3)


@pytest.mark.parametrize(
    "pull",
    [
        {"merged": True, "head": {"sha": "c" * 40}, "merge_commit_sha": MERGE},
        {"merged": False, "head": {"sha": HEAD}, "merge_commit_sha": MERGE},
        ["merged"],
    ],
)
def test_another_head_or_a_refusal_is_not_merged(pull: object) -> None:
    with pytest.raises(IntegrityError, match="it is not merged"):
        merge((409, {"message": "Head branch was modified"}), pull)


def test_what_is_no_commit_is_not_built() -> None:
    with pytest.raises(MalformedError, match="no commit"):
        merge((200, {"sha": "main"}))


@pytest.mark.parametrize(
    ("whose", "counts"),
    [
        ({"user": {"type": "Bot"}, "author_association": "NONE"}, True),
        ({"user": {"type": "User"}, "author_association": "MEMBER"}, True),
        ({"user": {"type": "User"}, "author_association": "NONE"}, False),
        ({"user": {"type": "User"}, "author_association": "CONTRIBUTOR"}, False),
        ({"user": None}, False),
    ],
)
def test_what_a_stranger_proposes_of_our_branch_says_nothing_of_a_release(
    whose: dict[str, object], *, counts: bool
) -> None:
    row = {"html_url": "https://x/1", "body": "", "head": {"sha": HEAD}, "state": "closed", **whose}
    with servers.recorder(lambda *_: (200, json.dumps([row]).encode())) as server:
        assert bool(GitHub(url=server.url).pull_requests("me/x", "armtorch-release")) is counts


def test_what_a_release_left_out_is_news_again_once_the_rest_is_merged() -> None:
    """Its lock may be the very one that was tried: then its cells were in lines of their own."""
    made = "d" * 64
    states = {"open": (True, False), "closed": (False, False), "merged": (False, True)}
    told = {
        (name, in_part): tells_of(
            PullRequest(
                url="https://x/1",
                body=marked("Release.", made, in_part=in_part),
                head=HEAD,
                open=is_open,
                merged=merged,
            ),
            made,
        )
        for name, (is_open, merged) in states.items()
        for in_part in (False, True)
    }
    assert [each for each, tells in told.items() if not tells] == [("merged", True)]
    row = {"html_url": "https://x/1", "head": {"sha": HEAD}, "user": {"type": "Bot"}}
    rows = [row | {"state": "closed", "merged_at": at} for at in (None, "2026-11-30T00:00:00Z")]
    with servers.recorder(lambda *_: (200, json.dumps(rows).encode())) as server:
        known = GitHub(url=server.url).pull_requests("me/x", "armtorch-release")
    assert [each.merged for each in known] == [False, True]


def hubs(url: str) -> tuple[Hub, Hub]:
    lab = GitLab(url=url, repository="me/x", remote="", target="main")
    return GitHub(url=url), lab


def test_a_branch_that_was_pushed_says_what_it_has_and_since_when() -> None:
    commit = {"committer": {"date": "2026-11-22T12:00:00+02:00"}, "message": "Release\n\nmade of"}
    row = {"commit": commit, "message": "Release\n\nmade of"}
    row |= {"committed_date": "2026-11-22T12:00:00+02:00"}
    with servers.recorder(lambda *_: (200, json.dumps(row).encode())) as server:
        tips = [each.tip("me/x", "armtorch-release") for each in hubs(server.url)]
    for tip in tips:
        assert tip is not None
        assert (tip.message, tip.time.hour) == ("Release\n\nmade of", 10)
    for status in (404, 422):
        with servers.recorder(lambda *_, status=status: (status, b"{}")) as server:
            assert [each.tip("me/x", "armtorch-release") for each in hubs(server.url)] == [None] * 2


@pytest.mark.parametrize("row", [[], {}, {"commit": None}, {"commit": {"committer": 1}}])
def test_a_tip_that_is_none_is_malformed(row: object) -> None:
    with servers.recorder(lambda *_: (200, json.dumps(row).encode())) as server:
        for each in hubs(server.url):
            with pytest.raises(MalformedError):
                each.tip("me/x", "armtorch-release")


def test_a_workflow_is_started_with_its_inputs_and_an_empty_answer_is_one() -> None:
    with servers.recorder(lambda *_: (204, b"")) as server:
        GitHub(url=server.url).start("me/x", "build.yml", "main", {"cells": "2.10/osx-arm64/cpu"})
        ((method, path, _, body),) = server.asked
    assert (method, path) == ("POST", "/repos/me/x/actions/workflows/build.yml/dispatches")
    assert json.loads(body) == {"ref": "main", "inputs": {"cells": "2.10/osx-arm64/cpu"}}

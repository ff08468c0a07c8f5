"""What armtorch says to GitLab: merge requests and pipelines, in a job of its CI.

Source: docs.gitlab.com/api (merge_requests, pipelines), docs.gitlab.com/ci/variables
(predefined_variables) and docs.gitlab.com/topics/git/commit (push options), read 2026-11-30.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from generator.errors import AbsentError, SelectionError
from generator.provider import answers
from generator.provider.answers import Outcome, PullRequest, Tip

#: of a project's access token, which may push and open merge requests
TOKEN: Final = "ARMTORCH_TOKEN"  # noqa: S105 - a variable's name
#: what a pipeline that ended came to; each other status is one that has not
_ENDED: Final = {
    "success": "success",
    "failed": "error",
    "canceled": "error",
    "skipped": "error",
}


@dataclass(frozen=True, kw_only=True)
class GitLab:
    """A project of a GitLab, as a job of its CI sees it."""

    #: of the API, ``https://gitlab.com/api/v4``
    url: str
    #: ``group/name``
    repository: str
    #: where git pushes to
    remote: str
    #: branch that is released from
    target: str
    token: str = field(default="", repr=False)

    def pull_requests(self, repository: str, branch: str) -> tuple[PullRequest, ...]:
        """Return the newest merge requests of a branch of the project itself, open or not.

        Without those of forks, which strangers may make.
        """
        return tuple(
            PullRequest(
                url=answers.field(row, "web_url", self.url),
                body=str(row.get("description") or ""),
                head=answers.commit_of(answers.field(row, "sha", self.url), self.url),
                open=row.get("state") == "opened",
                merged=row.get("state") == "merged",
            )
            for row in self._requests(repository, branch)
        )

    def outcome(self, repository: str, commit: str, context: str) -> Outcome | None:  # noqa: ARG002
        """Return what the newest pipeline of a commit came to; None where it has none."""
        path = f"{_project(repository)}/pipelines?sha={commit}&order_by=id&sort=desc&per_page=1"
        for row in answers.rows(self._asked("GET", path), self.url):
            time = answers.field(row, "updated_at", self.url)
            return Outcome(
                state=_ENDED.get(str(row.get("status")), "pending"),
                time=answers.time_of(time, self.url),
            )
        return None

    def tip(self, repository: str, branch: str) -> Tip | None:
        """Return the newest commit of a branch; None where there is no such branch."""
        path = f"{_project(repository)}/repository/commits/{quote(branch, safe='')}"
        try:
            found = self._asked("GET", path)
        except AbsentError:
            return None
        return Tip(
            message=answers.field(found, "message", self.url),
            time=answers.time_of(answers.field(found, "committed_date", self.url), self.url),
        )

    def describe(self, branch: str, title: str, text: str) -> str:
        """Give the open merge request of a branch a title and a text, and return its address.

        Raises AbsentError: no merge request is open: pushing made none. UnreachableError,
        MalformedError: GitLab does not answer, or not usefully.
        """
        for row in self._requests(self.repository, branch):
            if row.get("state") == "opened":
                path = f"{_project(self.repository)}/merge_requests/{int(row['iid'])}"
                self._asked("PUT", path, {"title": title, "description": text})
                return answers.field(row, "web_url", self.url)
        raise AbsentError(
            f"no merge request of {branch} is open",
            where=self.remote,
            next_step="look at what git push said; the project's merge requests may be disabled",
        )

    def _requests(self, repository: str, branch: str) -> list[dict[str, Any]]:
        query = f"source_branch={quote(branch, safe='')}&state=all&order_by=created_at&sort=desc"
        found = self._asked("GET", f"{_project(repository)}/merge_requests?{query}")
        return [
            row
            for row in answers.rows(found, self.url)
            if row.get("source_project_id") == row.get("target_project_id")
        ]

    def _asked(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        headers = {"PRIVATE-TOKEN": self.token} if self.token else {}
        advice = f"try again later; look at {TOKEN}, a project access token with the scope api"
        return answers.ask(method, self.url + path, headers, body, advice)


def gitlab_of(environment: Mapping[str, str]) -> GitLab:
    """Return the project whose CI runs this.

    Raises SelectionError: no job of GitLab's CI runs it, or it has no token.
    """
    names = ("CI_API_V4_URL", "CI_PROJECT_PATH", "CI_PROJECT_URL", "CI_DEFAULT_BRANCH", TOKEN)
    if lacking := [name for name in names if not environment.get(name)]:
        raise SelectionError(
            f"{', '.join(lacking)}: not set",
            where="GitLab's variables",
            next_step="run it in a job of GitLab's CI; docs/ci.md says what is to be set up there",
        )
    url, repository, remote, target, token = (environment[name] for name in names)
    return GitLab(
        url=url, repository=repository, remote=f"{remote}.git", target=target, token=token
    )


def _project(repository: str) -> str:
    return f"/projects/{quote(repository, safe='')}"

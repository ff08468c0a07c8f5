"""``ci propose``: a release as a merge request of GitLab's, whose own pipeline tries it.

A push by a token of the project starts pipelines, unlike one by a workflow of GitHub's: so GitLab
tries what is proposed, and merges it where that passes and nobody needs to look.
"""

from __future__ import annotations

import shutil
import subprocess
from typing import Final

from generator.ci.releasing import CHANGELOG, release
from generator.ci.tried import Looked, look_for_news, mark_in, marked
from generator.errors import DeclinedError, MissingToolError
from generator.lock import Announcement
from generator.project import Project
from generator.provider.gitlab import TOKEN, GitLab
from generator.rendering import GENERATED, workflow_settings

#: takes the token from the environment, where no list of processes shows it
_HELPER: Final = f'!f() {{ echo username=armtorch; echo "password=${TOKEN}"; }}; f'


def propose_news(project: Project, hub: GitLab, *, again: bool = False) -> tuple[Looked, str]:
    """Release upstream's news that were not tried yet, and return the merge request's address.

    Raises AbsentError, UnreachableError, MalformedError, DeclinedError: of GitLab, or of upstream.
    IntegrityError, RenderError, LockError, FeedstockError: as ``release`` does.
    """
    found = look_for_news(project, hub, hub.repository, again=again)
    if not found.wanted:
        return found, ""
    said = release(project).announcement
    return found, propose(project, hub, said, found.made)


def back_to(project: Project, before: str) -> None:
    """Make a revision the newest commit, and all that came after it a change of the files.

    GitHub's action for pull requests puts onto main what is in no commit yet, and nothing else.
    Raises DeclinedError, MissingToolError: git did not do it, or is not there.
    """
    _git(project, "reset", "--quiet", "--soft", before)


def propose(
    project: Project, hub: GitLab, said: Announcement, made: str = "", *, in_part: bool = False
) -> str:
    """Push what a release wrote as one commit, and return its merge request's address.

    ``made`` is what it is made of, "" for what the merge request says already; ``in_part`` is as
    `marked` has it.
    Raises DeclinedError: git did not do it. MissingToolError: there is no git. AbsentError,
    UnreachableError, MalformedError: of GitLab.
    """
    branch = workflow_settings().branch
    known = () if made else hub.pull_requests(hub.repository, branch)
    made = made or next((mark_in(each.body) for each in known if each.open), "")
    _git(project, "add", "--update")
    _git(project, "add", project.lock.name, CHANGELOG, *GENERATED)
    name = ["-c", "user.name=armtorch", "-c", "user.email=armtorch@users.noreply.invalid"]
    _git(project, *name, "commit", "--quiet", "--message", marked(f"{said.title}\n", made))
    options = ["create", f"target={hub.target}", "remove_source_branch"]
    # what a person has to look at waits for one
    options += [] if said.attention else ["auto_merge"]
    _git(
        project,
        *("-c", "credential.helper=", "-c", f"credential.helper={_HELPER}"),
        *("push", "--quiet", "--force"),
        *(f"--push-option=merge_request.{each}" for each in options),
        *(hub.remote, f"HEAD:refs/heads/{branch}"),
    )
    return hub.describe(branch, said.title, marked(said.markdown(), made, in_part=in_part))


def _git(project: Project, *arguments: str) -> None:
    program = shutil.which("git")
    if program is None:
        raise MissingToolError(
            "git is not installed", where="ci propose", next_step="install git in the job's image"
        )
    done = subprocess.run(
        [program, *arguments],
        cwd=project.root,
        env={**project.environment, "GIT_TERMINAL_PROMPT": "0"},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise DeclinedError(
            f"git did not do it: {done.stderr.strip()[-300:]}",
            where=str(project.root),
            next_step=f"look at what {TOKEN} may do, and at the rules of the branch",
        )

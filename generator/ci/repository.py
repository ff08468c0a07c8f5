"""``ci check``: what of a repository's settings keeps the workflows from working by themselves.

Each row asks GitHub's REST API (docs.github.com/rest) one thing. What a token may not see is said
to be unknown, and never taken for right.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any, Final, Literal

from generator.channel.destinations import parse_destination
from generator.errors import AbsentError, SelectionError, UnreachableError
from generator.feedstock import Feedstock
from generator.provider.github import GitHub
from generator.rendering import action_pins, workflow_files, workflow_settings

#: docs.github.com: schedules of a public repository end after so many days without a commit
_QUIET: Final = 60
#: days before that at which a person is told
_NOTICE: Final = 10
#: workflows that every feedstock has; test.yml is there with armtorch's own code only
_OURS: Final = ("build", "nightly", "update")
#: rules of a branch that no merge by a workflow fulfils (docs.github.com/rest/repos/rules)
_AGAINST_RELEASES: Final = {
    *("merge_queue", "required_deployments", "required_linear_history", "required_signatures"),
    *("update", "workflows"),
}
#: of the rule `pull_request`: what only a person can give
_REVIEWS: Final = (
    *("required_approving_review_count", "require_code_owner_review", "require_last_push_approval"),
)
#: rows of a list; without it GitHub gives 30
_ALL: Final = "?per_page=100"
_VARIABLES: Final = "Settings, Secrets and variables, Actions, Variables"
#: hours: the poll is hourly, and one takes four at most
_OVERDUE: Final = 6


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One thing that was looked at."""

    name: str
    state: Literal["right", "wrong", "unknown"]
    said: str
    #: where it is changed; "" where it is right
    where: str = ""


def check_repository(
    hub: GitHub, repository: str, declared: Feedstock, *, now: dt.datetime | None = None
) -> tuple[Setting, ...]:
    """Look at the settings of a repository, and at what feedstock.yaml declares of it.

    Raises AbsentError, UnreachableError, MalformedError: GitHub does not know the repository, or
    does not answer.
    """
    found = _object(hub.get(f"/repos/{repository}"))
    asked = _Asked(hub, repository, declared, found, now or dt.datetime.now(dt.UTC))
    checks: tuple[tuple[str, Callable[[], Iterator[Setting]]], ...] = (
        ("address", asked.address),
        ("branch", asked.branch),
        ("actions", asked.actions),
        ("pull requests", asked.pull_requests),
        ("merging", asked.merging),
        ("required checks", asked.required_checks),
        ("environments", asked.environments),
        ("destination", asked.destination),
        ("visibility", asked.visibility),
        ("schedules", asked.schedules),
        ("last look", asked.last_look),
        ("activity", asked.activity),
    )
    return tuple(row for name, check in checks for row in _tried(name, check))


def last_look(hub: GitHub, repository: str) -> dt.datetime | None:
    """Say when update.yml last looked at upstream and got through; None where it never did.

    Raises AbsentError, UnreachableError, MalformedError: GitHub does not know it, or not say.
    """
    path = "/actions/workflows/update.yml/runs?status=success&per_page=1"
    rows = _object(hub.get(f"/repos/{repository}{path}")).get("workflow_runs", [])
    return _time(rows[0]["run_started_at"]) if rows else None


def _tried(name: str, check: Callable[[], Iterator[Setting]]) -> list[Setting]:
    try:
        return list(check())
    except (AbsentError, UnreachableError) as error:
        return [
            Setting(
                name=name,
                state="unknown",
                said=f"not told ({error.what})",
                where="give a token of an administrator: GITHUB_TOKEN",
            )
        ]


@dataclass(frozen=True)
class _Asked:
    hub: GitHub
    repository: str
    declared: Feedstock
    known: Mapping[str, Any]
    now: dt.datetime

    def _get(self, path: str) -> Any:
        return self.hub.get(f"/repos/{self.repository}{path}")

    def _variable(self, name: str) -> str:
        try:
            return str(_object(self._get(f"/actions/variables/{name}")).get("value", "")).strip()
        except AbsentError:
            return ""

    @property
    def _branch(self) -> str:
        return str(self.known.get("default_branch", "main"))

    def address(self) -> Iterator[Setting]:
        said = self.declared.repository or ""
        own = said.removesuffix(".git").lower().endswith(f"/{self.repository.lower()}")
        where = f"feedstock.yaml: repository: https://github.com/{self.repository}"
        if said and self.known.get("fork") is True and not own:
            lost = f"this is a fork, and packages say that their recipes are at {said}"
            yield _setting("address", False, "", lost, where)
            return
        yield _setting(
            "address",
            bool(said),
            f"packages say that their recipes are at {said}",
            "feedstock.yaml names no repository, so packages do not say where their recipes are",
            where,
        )

    def branch(self) -> Iterator[Setting]:
        yield _setting(
            "branch",
            self._branch == "main",
            "the default branch is main",
            f"the default branch is {self._branch}, and the workflows read and merge main",
            "Settings, General, Default branch: rename it to main",
        )

    def actions(self) -> Iterator[Setting]:
        found = _object(self._get("/actions/permissions"))
        text = b"".join(workflow_files(self.declared).values()).decode()
        used = [pin.of() for pin in action_pins().actions if f" {pin.name}" in text]
        lacking = used
        if found.get("allowed_actions") == "selected":
            some = _object(self._get("/actions/permissions/selected-actions"))
            allowed = [str(each) for each in some.get("patterns_allowed", [])]
            allowed += ["actions/*"] if some.get("github_owned_allowed") is True else []
            lacking = [each for each in used if not any(fnmatch(each, a) for a in allowed)]
        elif found.get("allowed_actions") == "all":
            lacking = []
        yield _setting(
            "actions",
            found.get("enabled") is True and not lacking,
            "the workflows' actions may run",
            f"Actions are off, or may not run {', '.join(each.split('@')[0] for each in lacking)}",
            "Settings, Actions, General: allow all actions, or those of .github/workflows",
        )

    def pull_requests(self) -> Iterator[Setting]:
        found = _object(self._get("/actions/permissions/workflow"))
        yield _setting(
            "pull requests",
            found.get("can_approve_pull_request_reviews") is True,
            "workflows may create pull requests",
            "workflows may not create pull requests, so no release is proposed",
            "Settings, Actions, General: allow GitHub Actions to create pull requests",
        )

    def merging(self) -> Iterator[Setting]:
        if "allow_merge_commit" not in self.known:
            raise UnreachableError("the token does not see how merging is allowed")
        yield _setting(
            "merging",
            self.known["allow_merge_commit"] is True,
            "merge commits are allowed",
            "merge commits are not allowed, and releases are merged so",
            "Settings, General, Pull Requests: allow merge commits",
        )

    def required_checks(self) -> Iterator[Setting]:
        """Look for rules that a release never fulfils.

        GitHub starts no workflow for what a workflow's token pushes, so no job reports on it; one
        status does, which update.yml gives it. Merge commits of unsigned ones are what is merged.
        """
        own = workflow_settings().check
        rows = map(_object, self._get(f"/rules/branches/{self._branch}{_ALL}"))
        given = {str(row.get("type")): _object(row.get("parameters")) for row in rows}
        checks = _object(given.get("required_status_checks")).get("required_status_checks", [])
        classic = _object(_object(self._get(f"/branches/{self._branch}")).get("protection"))
        names = _object(classic.get("required_status_checks")).get("contexts", [])
        foreign = {*(str(_object(row).get("context")) for row in checks), *map(str, names)} - {own}
        yield _setting(
            "required checks",
            not foreign,
            f"{self._branch} requires no check that a release does not get",
            f"{self._branch} requires {', '.join(sorted(foreign))}, which a release never gets: "
            "no workflow starts for what a workflow pushed",
            f"Settings, Rules: require `{own}` instead, which every pull request gets",
        )
        wrong = given.keys() & _AGAINST_RELEASES
        if any(given.get("pull_request", {}).get(name) for name in _REVIEWS):
            wrong |= {"pull_request"}
        yield _setting(
            "rules",
            not wrong,
            f"no rule of {self._branch} holds a release back",
            f"{self._branch} has the rules {', '.join(sorted(wrong))}, which no release fulfils",
            f"Settings, Rules: take them from {self._branch}, or merge releases by hand",
        )

    def environments(self) -> Iterator[Setting]:
        rows = _object(self._get(f"/environments{_ALL}")).get("environments", [])
        found = {str(row["name"]): row.get("protection_rules", []) for row in rows}
        open_to_all = [str(r["name"]) for r in rows if r.get("deployment_branch_policy") is None]
        names = workflow_settings().environments
        lacking = ", ".join(sorted({*names.values()} - found.keys()))
        yield _setting(
            "environments",
            not lacking,
            "there are all environments",
            f"there is no environment {lacking}: it has no secrets, and nothing limits it to "
            f"{self._branch}",
            f"Settings, Environments: make {lacking}, with the host's secrets",
        )
        exposed = sorted({*open_to_all} & {*names.values()})
        yield _setting(
            "branches",
            not exposed,
            f"secrets are for {self._branch} only",
            f"every branch may use the secrets of {', '.join(exposed)}",
            f"Settings, Environments: limit their deployment branches to {self._branch}",
        )
        for name in (names["read"], names["retire"]):
            rules = [row.get("type") for row in found.get(name, [])]
            yield _setting(
                "reviewers",
                "required_reviewers" not in rules,
                f"{name} waits for nobody",
                f"{name} waits for a reviewer, every night",
                f"Settings, Environments, {name}: no required reviewers",
            )

    def destination(self) -> Iterator[Setting]:
        value = self._variable("ARMTORCH_DESTINATION")
        try:
            named = parse_destination(value) if "://" in value else None
        except SelectionError as error:
            yield _setting("destination", False, "", f"ARMTORCH_DESTINATION: {error}", _VARIABLES)
            return
        yield _setting(
            "destination",
            named is not None or value in self.declared.destinations,
            f"packages go to {named or value}",
            f"ARMTORCH_DESTINATION is {value!r}, so nothing is published",
            _VARIABLES,
        )

    def visibility(self) -> Iterator[Setting]:
        private = self.known.get("private") is True
        yield _setting(
            "visibility",
            not private or bool(self._variable("ARMTORCH_ATTEST")),
            "private: minutes and artifacts are counted, and environments need a plan"
            if private
            else "public: runners and attestations are free",
            "private, where attestations are for enterprises only, and nothing is published "
            "without",
            f"{_VARIABLES}: ARMTORCH_ATTEST, `never` or `possible`; docs/ci.md",
        )

    def schedules(self) -> Iterator[Setting]:
        rows = _object(self._get(f"/actions/workflows{_ALL}")).get("workflows", [])
        states = {str(row["path"]).rpartition("/")[2]: str(row["state"]) for row in rows}
        for name in _OURS:
            state = states.get(f"{name}.yml", "missing")
            yield _setting(
                "schedules",
                state == "active",
                f"{name}.yml is active",
                f"{name}.yml is {state}",
                f"Actions, {name}: enable the workflow",
            )

    def last_look(self) -> Iterator[Setting]:
        time = last_look(self.hub, self.repository)
        if time is None:
            yield _setting(
                "last look", False, "", "upstream was never looked at", "Actions, update"
            )
            return
        hours = (self.now - time).total_seconds() / 3600
        yield _setting(
            "last look",
            hours <= _OVERDUE,
            f"upstream was looked at {hours:.0f} h ago",
            f"upstream was last looked at {hours:.0f} h ago, and it is hourly",
            "Actions, update: look at the last run",
        )

    def activity(self) -> Iterator[Setting]:
        commit = _object(self._get(f"/commits/{self._branch}"))
        when = _time(_object(_object(commit.get("commit")).get("committer")).get("date", ""))
        days = _QUIET - (self.now - when).days
        yield _setting(
            "activity",
            days > _NOTICE or self.known.get("private") is True,
            f"the last commit is of {when.date()}",
            f"the last commit is of {when.date()}: GitHub ends the schedules {max(days, 0)} days "
            "from now",
            "push a commit that is due anyway, or enable the workflows again when GitHub asks",
        )


def _setting(name: str, right: bool, yes: str, no: str, where: str) -> Setting:
    if right:
        return Setting(name=name, state="right", said=yes)
    return Setting(name=name, state="wrong", said=no, where=where)


def _object(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, dict) else {}


def _time(text: Any) -> dt.datetime:
    try:
        return dt.datetime.fromisoformat(str(text)).astimezone(dt.UTC)
    except ValueError as error:
        raise UnreachableError(f"{text!r} is no time") from error

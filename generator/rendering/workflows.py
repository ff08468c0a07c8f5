"""GitHub's workflows or GitLab's pipeline, and conda-forge.yml, from templates and two data files.

They depend on the feedstock and not on the lock: which jobs there are is asked of
``armtorch ci plan`` when a workflow runs. So a release never changes a workflow, and the token of
a workflow, which may not change one, is enough to open its pull request.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from generator.datafiles import load_data
from generator.errors import DataError
from generator.feedstock import Feedstock
from generator.model.closed import Closed
from generator.rendering import templates

WORKFLOWS: Final = ("build", "compile", "nightly", "test", "update")
#: of them, what only a checkout of armtorch has: its tests
_OF_A_CHECKOUT: Final = ("test",)
FOLDER: Final = ".github/workflows"
PIPELINE: Final = ".gitlab-ci.yml"
#: how workflows install an armtorch that is not in their repository; `armtorch init` writes both
DEPENDENCIES: Final = ".ci/armtorch/dependencies.txt"
ARMTORCH: Final = ".ci/armtorch/armtorch.txt"
_INSTALLS: Final = {
    "checkout": ("python -m pip install --editable .",),
    "pinned": (
        f"python -m pip install --require-hashes --requirement {DEPENDENCIES}",
        f"python -m pip install --no-deps --no-build-isolation --requirement {ARMTORCH}",
    ),
}
_PINNED: Final = (
    "# Written by armtorch (render, init --upgrade); do not edit. sha256 of what follows: "
)
PINS_FILE: Final = "action_pins.yaml"

#: what stands in workflows and commands unquoted: no shell, YAML or path reads more into it
_Label = Annotated[str, Field(pattern=r"^[a-z0-9]+([.-][a-z0-9]+)*$")]
#: of a secret or variable
_Variable = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]
_Cron = Annotated[str, Field(pattern=r"^[\d*/,-]+( [\d*/,-]+){4}$")]
#: at most what GitHub gives a job
_Minutes = Annotated[int, Field(ge=1, le=360)]
_Count = Annotated[int, Field(ge=0)]
_Amount = Annotated[float, Field(gt=0)]


@dataclass(frozen=True, kw_only=True)
class ActionPin(Closed):
    """An action, the release it is taken at, and the commit that release was."""

    name: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    tag: Annotated[str, Field(pattern=r"^v\d+(\.\d+)*$")]
    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]

    def of(self, part: str = "") -> str:
        """Return what ``uses:`` says; ``part`` is an action in a folder of the repository."""
        return f"{'/'.join(filter(None, (self.name, part)))}@{self.commit}"


@dataclass(frozen=True, kw_only=True)
class ActionPins(Closed):
    """The whole of data/action_pins.yaml."""

    format: Literal[1]
    actions: tuple[ActionPin, ...]


@dataclass(frozen=True, kw_only=True)
class Costs(Closed):
    """What a month has, and what things take."""

    #: runs of a month
    looks: _Count
    releases: _Count
    nights: _Count
    #: minutes of a look; of a build job without its work; of a package's environment and tests
    look_minutes: _Amount
    job_minutes: _Amount
    package_minutes: _Amount
    #: of wheels, fetched and packed
    bytes_per_minute: _Amount
    #: of wheels, once more, where what all Pythons share is packed at the level of releases
    released_bytes_per_minute: _Amount
    #: bytes of packages by those of their wheels
    packed: _Amount
    index_bytes: _Count
    #: GitHub's: of all caches; minutes of a private repository's free plan
    cache_bytes: _Count
    jobs_at_once: _Count
    free_minutes: _Count
    #: operating system -> minutes that a minute is billed as
    multipliers: dict[_Label, Annotated[int, Field(ge=1)]]


@dataclass(frozen=True, kw_only=True)
class GitLabRunner(Closed):
    """Where GitLab runs the jobs of a subdir."""

    tags: tuple[Annotated[str, Field(pattern=r"^[\w.-]+$")], ...]
    #: a container's; "" for the one of most
    image: Annotated[str, Field(pattern=r"^[\w./:@-]*$")] = ""
    shell: Literal["bash", "powershell"] = "bash"


@dataclass(frozen=True, kw_only=True)
class GitLabSettings(Closed):
    """What is GitLab's own of data/workflows.yaml."""

    image: Annotated[str, Field(pattern=r"^[\w./:@-]+$")]
    runners: dict[_Label, GitLabRunner]

    def runner(self, subdir: str) -> GitLabRunner:
        """Return the runner of a subdir; the packages of `noarch` are made where most are."""
        return self.runners.get(subdir, self.runners["linux-aarch64"])


@dataclass(frozen=True, kw_only=True)
class WorkflowSettings(Closed):
    """The whole of data/workflows.yaml."""

    format: Literal[1]
    maximum_jobs: Annotated[int, Field(ge=1)]
    pythons_per_job: Annotated[int, Field(ge=1)]
    runner: _Label
    conda_runner: _Label
    compile_runner: _Label
    python: Annotated[str, Field(pattern=r"^3\.\d+$")]
    #: subdir -> architecture of the interpreter, where it is not the runner's own
    architectures: dict[_Label, Literal["x86", "x64", "arm64"]]
    timeouts: dict[Literal["plan", "build", "compile", "publish", "release", "test"], _Minutes]
    #: of `armtorch compile`, less than its job's
    compile_limit: Annotated[str, Field(pattern=r"^\d+h$")]
    schedules: dict[Literal["update", "nightly"], _Cron]
    branch: _Label
    check: _Label
    again_after_days: Annotated[int, Field(ge=1)]
    #: what a job does with the channel -> GitHub's environment it runs in
    environments: dict[Literal["read", "publish", "retire"], _Label]
    #: environment variables that `armtorch publish` takes logins from
    secrets: tuple[_Variable, ...]
    aws_secrets: tuple[_Variable, ...]
    #: and what is not secret
    variables: tuple[_Variable, ...]
    gitlab: GitLabSettings
    costs: Costs


@cache
def workflow_settings() -> WorkflowSettings:
    """Read data/workflows.yaml; DataError when it does not fit."""
    return load_data("workflows.yaml", WorkflowSettings)


@cache
def action_pins() -> ActionPins:
    """Read data/action_pins.yaml; DataError when a row does not fit."""
    return load_data(PINS_FILE, ActionPins)


def workflow_files(feedstock: Feedstock) -> dict[str, bytes]:
    """Render the workflows, or GitLab's pipeline, and conda-forge.yml, by path.

    Raises DataError: a workflow uses an action that has no pin.
    """
    pins = {each.name: each for each in action_pins().actions}

    def pin(name: str, part: str = "") -> str:
        if name not in pins:
            raise DataError(
                f"there is no pin for {name}", where=PINS_FILE, next_step="add a row for it"
            )
        return f"{pins[name].of(part)} # {pins[name].tag}"

    pinned = feedstock.armtorch == "pinned"
    facts = {
        **_facts(feedstock),
        "pin": pin,
        "subdirs": list(feedstock.subdirs),
        "sources": feedstock.sources,
        # all of a row but its last target, which is for one Python
        "libraries": {
            name: [f"{name}/{target}" for target in row.targets[:-1]]
            for name, row in feedstock.sources.items()
        },
    }
    left_out = [*(_OF_A_CHECKOUT if pinned else ()), *(() if feedstock.sources else ("compile",))]
    names = [name for name in WORKFLOWS if name not in left_out]
    paths = {name: f"{FOLDER}/{name}.yml" for name in names}
    if feedstock.ci == "gitlab":
        paths = {"gitlab-ci": PIPELINE}
    found = {}
    for name, path in {**paths, "conda-forge": "conda-forge.yml"}.items():
        template = templates.environment("workflows").get_template(f"{name}.yml.jinja")
        header = (
            f"# Rendered from templates/workflows/{name}.yml.jinja; do not edit: "
            "change that, then armtorch render"
        )
        text = template.render(header="" if pinned else header, **facts)
        found[path] = (_signed(text) if pinned else text).encode("utf-8")
    return found


def child_pipeline(feedstock: Feedstock, rounds: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Render the pipeline that GitLab starts for a plan: its jobs, by round."""
    template = templates.environment("workflows").get_template("gitlab-jobs.yml.jinja")
    return template.render(rounds=rounds, **_facts(feedstock))


def _facts(feedstock: Feedstock) -> dict[str, object]:
    return {
        "installs": _INSTALLS[feedstock.armtorch],
        "settings": workflow_settings(),
        "labels": sorted({feedstock.label(train) for train in feedstock.trains}),
    }


def _signed(text: str) -> str:
    """Put a header before a text that says whether a person has changed it since."""
    body = text.lstrip("\n")
    return f"{_PINNED}{_digest(body)}\n{body}"


def is_untouched(content: bytes) -> bool:
    """Whether a workflow is as some armtorch wrote it: nobody's changes are lost with it."""
    head, _, body = content.decode("utf-8", "replace").partition("\n")
    return head == f"{_PINNED}{_digest(body)}"


def is_persons(there: bytes | None, ours: bytes) -> bool:
    """Whether a file is a workflow of a pinned armtorch that somebody changed: it is theirs."""
    return there is not None and is_untouched(ours) and not is_untouched(there)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()

"""The plan of a publication, and carrying it out: packages first, then what clients read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from generator.channel.destinations import Address
from generator.channel.inputs import same_package
from generator.channel.retention import Retired
from generator.channel.retrying import Retries
from generator.channel.serving import Served
from generator.channel.stores import Outgoing, Target
from generator.console import Narrator
from generator.errors import BudgetError, ConflictError

Action = Literal["upload", "skip", "replace", "refuse"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One package of a plan."""

    package: Outgoing
    action: Action
    reason: str = ""
    #: bytes that lie under its name now
    there: int = 0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a publication will do, known before the first byte is sent."""

    rows: tuple[Row, ...]
    #: bytes of packages at the destination before
    bytes_before: int
    #: bytes that may lie there; None without a limit
    budget: int | None = None

    def chosen(self, *actions: Action) -> tuple[Row, ...]:
        """Return the rows with one of these actions."""
        return tuple(row for row in self.rows if row.action in actions)

    @property
    def bytes_to_send(self) -> int:
        """Bytes of the packages that go up."""
        return sum(row.package.record.size for row in self.chosen("upload", "replace"))

    @property
    def bytes_after(self) -> int:
        """Bytes of packages there afterwards; a replaced one counts as it is then."""
        chosen = self.chosen("upload", "replace")
        return self.bytes_before + sum(row.package.record.size - row.there for row in chosen)


def make_plan(
    target: Target, packages: Sequence[Outgoing], *, force: bool, budget: int | None
) -> Plan:
    """Compare packages with what is there.

    Raises UnreachableError, DeclinedError, MalformedError: the destination does not say what it
    has.
    """
    there = target.packages()
    return Plan(
        rows=tuple(_row(target, package, there, force=force) for package in packages),
        bytes_before=sum(there.values()),
        budget=budget,
    )


def _row(target: Target, package: Outgoing, there: dict[str, int], *, force: bool) -> Row:
    size = there.get(package.key)
    if size is None:
        return Row(package=package, action="upload")
    other = size != package.record.size
    if not other and target.sha256(package.key) == package.record.sha256:
        return Row(package=package, action="skip", reason="there, with the same sha256")
    if force:
        return Row(package=package, action="replace", reason="other bytes are there", there=size)
    if _same_inputs(target, package):
        return Row(package=package, action="skip", reason="there, made from the same inputs")
    return Row(package=package, action="refuse", reason="other bytes are there under this name")


def _same_inputs(target: Target, package: Outgoing) -> bool:
    with package.path.open("rb") as ours:
        try:
            with target.open(package.key) as theirs:
                return same_package(ours, theirs, package.record.file_name)
        except OSError:  # a folder or a pipe, which is no package
            return False


def refuse_conflicts(plan: Plan, destination: Address) -> None:
    """Raise ConflictError where the plan meets other bytes under a name."""
    if refused := plan.chosen("refuse"):
        names = ", ".join(row.package.key for row in refused[:5])
        more = f" and {len(refused) - 5} more" if len(refused) > 5 else ""
        raise ConflictError(
            f"other bytes are there under the name of {names}{more}; caches go by file name, so "
            "whoever has the old file would keep it",
            where=str(destination),
            next_step="raise the build number (armtorch update does), or replace them with --force",
        )


def refuse_overspending(plan: Plan, destination: Address, retirable: Sequence[Retired]) -> None:
    """Raise BudgetError where the destination would hold too much, or a package is too large."""
    limit = destination.host.package
    for row in plan.chosen("upload", "replace"):
        if limit is not None and row.package.record.size > limit:
            raise BudgetError(
                f"{row.package.key} has {row.package.record.size} bytes, and this host takes "
                f"{limit} at most",
                where=str(destination),
                next_step="build it at a higher compression level, or publish it elsewhere",
            )
    if plan.budget is None or plan.bytes_after <= plan.budget or not plan.bytes_to_send:
        return
    over = plan.bytes_after - plan.budget
    freed, names = 0, []
    for each in retirable:
        if freed >= over:
            break
        freed += each.record.size
        names.append(each.record.key)
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    hint = (
        f"retire {shown} ({freed} bytes): armtorch retire --dry-run"
        if freed >= over
        else "what may be retired is not enough: raise its budget: in feedstock.yaml, publish less "
        "at once, or build at a higher compression level"
    )
    raise BudgetError(
        f"it would hold {plan.bytes_after} bytes, {over} more than its budget of {plan.budget}",
        where=str(destination),
        next_step=hint,
    )


@dataclass(frozen=True, kw_only=True)
class Sender:
    """Carries out plans."""

    narrator: Narrator
    #: packages at once
    jobs: int = 4
    retries: Retries = field(default_factory=Retries)

    def send(self, target: Target, plan: Plan, *, served: Served | None = None) -> None:
        """Bring the packages of a plan; where the index is ours, its records come after them.

        An error of one package does not stop the others: whatever came is indexed, and the first
        error is raised at the end, so that the next run goes on from there.
        Raises UnreachableError: after the last try. DeclinedError, ConflictError: the host says no.
        IntegrityError: a package here is not what its record says.
        """
        if served is not None and (replaced := plan.chosen("replace")):
            keys = [row.package.key for row in replaced]
            served.withdraw(keys)
            served.forget(keys)
        failed = self._send_all(target, plan)
        if served is not None:
            there = {row.package.key for row in plan.rows} - failed.keys()
            with self.narrator.task("indexing"):
                self.retries.run(partial(served.attest, there), self.narrator.warn)
                self.retries.run(served.index, self.narrator.warn)
        for error in failed.values():
            raise error

    def _send_all(self, target: Target, plan: Plan) -> dict[str, Exception]:
        rows = plan.chosen("upload", "replace")
        failed: dict[str, Exception] = {}
        with (
            self.narrator.task("publishing", total=plan.bytes_to_send, unit="bytes") as task,
            ThreadPoolExecutor(max_workers=self.jobs) as pool,
        ):
            running = {pool.submit(self._send_one, target, row, task.advance): row for row in rows}
            for done in as_completed(running):
                error = done.exception()
                if isinstance(error, Exception):
                    failed[running[done].package.key] = error
                else:
                    self.narrator.say(f"published {running[done].package.key}")
        return failed

    def _send_one(self, target: Target, row: Row, advance: Callable[[int], None]) -> None:
        sent = 0

        def count(amount: int) -> None:
            nonlocal sent
            sent += amount
            advance(amount)

        def once() -> None:
            nonlocal sent
            advance(-sent)  # what a failed try had sent is to be sent again
            sent = 0
            target.put(row.package, replace=row.action == "replace", advance=count)

        self.retries.run(once, self.narrator.warn)

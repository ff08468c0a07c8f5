"""What is for a CPU under the name that was asked for, and for the GPU under another."""

from __future__ import annotations

from collections.abc import Iterator

from generator.explaining.computer import virtual_of
from generator.explaining.probing import Prober, Setting, Solution
from generator.explaining.records import accelerator_of
from generator.explaining.request import Request, name_of
from generator.packages import packages


def for_the_gpu(
    request: Request, setting: Setting, prober: Prober, solution: Solution
) -> Iterator[str]:
    """Yield a command for each name under which a machine with a GPU gets what is for none.

    Raises SolveError: the solver did not finish.
    """
    if not virtual_of(setting.machine.virtual_packages, "__cuda"):
        return
    cpu = {r.name.normalized for r in solution if accelerator_of(r) == "cpu"}
    for spec in request.specs:
        row = packages().get(name_of(spec))
        if row is None or not row.aside or name_of(spec) not in cpu:
            continue
        # its versions are others'
        other = request.swap(spec, row.aside)
        found = prober.solve(other.solved, setting) or ()
        if any(r.name.normalized == row.aside for r in found):
            yield (
                f"{name_of(spec)} is for the CPU here, and so is its torch; for the GPU it is "
                f"called {row.aside}: {other.command()}"
            )

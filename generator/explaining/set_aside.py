"""What a machine with a GPU gets for its CPU: unasked, or under a name that others go by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from generator.explaining.computer import virtual_of
from generator.explaining.differing import accelerator
from generator.explaining.probing import Prober, Setting, Solution
from generator.explaining.records import accelerator_of
from generator.explaining.request import Request, name_of, parsed
from generator.packages import packages


def for_the_gpu(
    request: Request, setting: Setting, prober: Prober, solution: Solution
) -> Iterator[str]:
    """Yield, of each name that brings a machine with a GPU what is for none, how it gets the other.

    Raises SolveError: the solver did not finish.
    """
    driver = virtual_of(setting.machine.virtual_packages, "__cuda")
    if not driver:
        return
    if not _for_a_cpu(request) and accelerator(solution) == "cpu":
        torch = prober.solve((*request.solved, "pytorch * cuda*"), setting)
        other = replace(request, specs=(*request.specs, "pytorch=*=cuda*"))
        yield "torch computes on the CPU in it, though there is a GPU: " + (
            f"for that one it is {other.command()}"
            if torch
            else f"no build for CUDA goes with this and with the driver (CUDA {driver})"
        )
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


def _for_a_cpu(request: Request) -> bool:
    """Whether a request says that it is for a CPU."""
    texts = (each for spec in request.solved for each in (name_of(spec), parsed(spec).build or ""))
    return any("cpu" in text for text in texts)

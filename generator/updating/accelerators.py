"""What a torch wheel was built for: METADATA says it, else the wheel; its claim must agree."""

from __future__ import annotations

from dataclasses import dataclass

from generator.errors import MalformedError
from generator.model.accelerator import Accelerator
from generator.model.python_build import PythonBuild
from generator.model.subdir import Subdir
from generator.updating.targets import accelerator_of, active, environment, known_line
from generator.upstream.claims import may_be
from generator.upstream.offers import Offer
from generator.upstream.policy import CudaRequirement
from generator.upstream.wheel_reader import WheelReader

_VERSION_FILE = "its torch/version.py"


@dataclass(frozen=True)
class Target:
    """What a wheel is for."""

    subdir: Subdir
    python: PythonBuild


def built_for(
    offer: Offer,
    target: Target,
    reader: WheelReader,
    rows: tuple[CudaRequirement, ...],
    *,
    thorough: bool = False,
) -> Accelerator:
    """Return the accelerator of a torch wheel.

    Wheels that bundle CUDA (Windows) or expect it on the board (Jetson) require no NVIDIA project;
    those say it in torch/version.py. That costs the wheel's RECORD, so without ``thorough`` it is
    looked at only where the name or the index give a reason; upstream's own Linux wheels, which
    are manylinux, declare what they need.
    Raises AbsentError, UnreachableError, MalformedError, IntegrityError: as the reader does.
    """
    metadata = reader.metadata(offer).metadata
    requires = active(metadata.requires_dist, environment(target.subdir, target.python))
    found = accelerator_of(requires, rows, offer.filename)
    declares = offer.claim == "cpu" or all(p.startswith("manylinux") for p in offer.platforms)
    silent = thorough or offer.claim.startswith("cuda") or not declares
    if found.cuda is None and silent and target.subdir.os != "osx":
        found = known_line(Accelerator(reader.bundled_cuda(offer)), _VERSION_FILE, offer.filename)
    if found.cuda is not None and offer.claim.endswith("-tegra"):
        return Accelerator(found.cuda, tegra=True)
    return found


def held_to_claim(offer: Offer, found: Accelerator) -> Accelerator:
    """Return what was found; MalformedError when name or index say something else."""
    if offer.claim and not may_be(str(found), offer.claim):
        raise MalformedError(
            f"it is a {found} build, and its name and index say {offer.claim}",
            where=f"{offer.filename}, index {offer.index}",
            next_step="report it to the index, or mend the accelerator of the index in "
            "feedstock.yaml",
        )
    return found

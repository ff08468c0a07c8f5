"""The vocabulary as frozen dataclasses; knows nothing of files, networks or commands."""

from generator.model.accelerator import Accelerator
from generator.model.cell import (
    Absence,
    BuildNumber,
    Candidate,
    Cell,
    CellAbsence,
    Equivalent,
    HeldCell,
    Lock,
    Sharing,
)
from generator.model.floor import RaisedFloor
from generator.model.held import Finding, FindingKind, Held
from generator.model.pin import Pin
from generator.model.python_build import PythonBuild, Pythons
from generator.model.retention import Keep, Retention
from generator.model.subdir import Subdir
from generator.model.variant import Variant
from generator.model.wheel import Metadata, Wheel

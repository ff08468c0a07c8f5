"""feedstock + lock -> cells -> variants, and the reason for everything absent."""

from generator.matrix.jobs import Job, Jobs, find_job, jobs
from generator.matrix.lines import (
    METAPACKAGES,
    LineCells,
    lines,
    reference_wheel,
    wanted_pythons,
)
from generator.matrix.selection import Selection, has_torch, newest_lines, select, torch_specifier
from generator.matrix.variants import conda_version, variants
from generator.matrix.view import (
    AbsentCell,
    BaseVerdict,
    BlockedVariant,
    CellView,
    MatrixView,
    MissingVariant,
    matrix_json,
    matrix_schema,
    matrix_view,
)

__all__ = [
    "METAPACKAGES",
    "AbsentCell",
    "BaseVerdict",
    "BlockedVariant",
    "CellView",
    "Job",
    "Jobs",
    "LineCells",
    "MatrixView",
    "MissingVariant",
    "Selection",
    "conda_version",
    "find_job",
    "has_torch",
    "jobs",
    "lines",
    "matrix_json",
    "matrix_schema",
    "matrix_view",
    "newest_lines",
    "reference_wheel",
    "select",
    "torch_specifier",
    "variants",
    "wanted_pythons",
]

"""feedstock + lock -> cells -> variants, and the reason for everything absent."""

from generator.matrix.jobs import Job, Jobs, find_job, jobs
from generator.matrix.lines import METAPACKAGES, lines, reference_wheel
from generator.matrix.selection import Selection, has_torch, newest_lines, select, torch_specifier
from generator.matrix.variants import beside, is_called, variants
from generator.matrix.view import (
    BaseVerdict,
    BlockedVariant,
    CellView,
    MatrixView,
    matrix_json,
    matrix_schema,
    matrix_view,
)

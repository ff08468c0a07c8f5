"""How the model's value objects stand in YAML: as the short texts people write."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from generator.model.accelerator import Accelerator
from generator.model.python_build import PythonBuild


def _python_build(value: Any) -> PythonBuild:
    if isinstance(value, float):
        # YAML has already made 3.10 into 3.1
        msg = f'{value!r} is a number; a Python build is a text, in quotes: "3.10"'
        raise ValueError(msg)  # noqa: TRY004 - pydantic reports ValueError
    return value if isinstance(value, PythonBuild) else PythonBuild.parse(str(value))


def _accelerator(value: Any) -> Accelerator:
    return value if isinstance(value, Accelerator) else Accelerator.parse(str(value))


PythonBuildText = Annotated[
    PythonBuild,
    PlainValidator(_python_build),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^\d+\.\d+t?$", "examples": ["3.12", "3.14t"]}),
]
AcceleratorText = Annotated[
    Accelerator,
    PlainValidator(_accelerator),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^(cpu|cuda\d{3}(-tegra)?)$"}),
]

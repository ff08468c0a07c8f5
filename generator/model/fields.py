"""How the model's value objects stand in YAML: as the short texts people write."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from generator.model.accelerator import Accelerator
from generator.model.python_build import PythonBuild


def _python_build(value: Any) -> PythonBuild:
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

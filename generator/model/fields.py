"""How the model's value objects stand in YAML: as the short texts people write."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    GetCoreSchemaHandler,
    GetPydanticSchema,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, core_schema

from generator.model.accelerator import Accelerator
from generator.model.python_build import PythonBuild, Pythons


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


def python_word(value: Any) -> str:
    """Check ``3.12``, ``3.14t``, ``all`` or ``!3.15t``; raise ValueError for anything else."""
    if value == "all":
        return "all"
    if isinstance(value, str) and value.startswith("!"):
        return f"!{_python_build(value[1:])}"
    return str(_python_build(value))


def _pythons(_: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    word = Annotated[
        str,
        PlainValidator(python_word),
        WithJsonSchema(
            {"type": "string", "pattern": r"^(all|!?\d+\.\d+t?)$", "examples": ["3.12", "!3.15t"]}
        ),
    ]
    written = handler.generate_schema(tuple[word, ...] | Literal["all"])
    return core_schema.no_info_after_validator_function(
        lambda found: Pythons.parse((found,) if isinstance(found, str) else found), written
    )


def _words(pythons: Pythons) -> str | list[str]:
    return pythons.words() if pythons else "all"


#: a list of Python builds and exclusions, or ``all``
PythonsText = Annotated[Pythons, GetPydanticSchema(_pythons), PlainSerializer(_words)]

"""Audits of packages that tests write down as a few files and links."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import BinaryIO

from generator.datafiles import subdirs
from generator.inspecting import AuditReport, PackageAudit
from generator.model import PythonBuild

ARM = subdirs()["linux-aarch64"]
MAC = subdirs()["osx-arm64"]
WIN = subdirs()["win-arm64"]
PY311 = PythonBuild.parse("3.11")


def opener(content: bytes) -> Callable[[], AbstractContextManager[BinaryIO]]:
    return lambda: io.BytesIO(content)


def audit(
    files: dict[str, bytes],
    links: dict[str, str] | None = None,
    *,
    declared=(),
    siblings=(),
    package: str = "libtorch",
    subdir=ARM,
    python=PY311,
) -> AuditReport:
    found = PackageAudit(package, subdir=subdir, python=python, symbols=True)
    for path, content in files.items():
        found.file(path, len(content), opener(content))
    for path, target in (links or {}).items():
        found.link(path, target)
    return found.finish(declared, siblings=siblings)


def ids(report: AuditReport, severity: str = "error") -> list[tuple[str, str, str]]:
    return [(f.rule.id, f.file, f.name) for f in report.findings if f.severity == severity]

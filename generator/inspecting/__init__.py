"""Looks into binaries and packages: the linkage audit, and the proof of where files come from."""

from generator.inspecting.audit import PackageAudit
from generator.inspecting.findings import AuditReport, Finding
from generator.inspecting.manifest import Manifest, manifest_schema_text
from generator.inspecting.prefix import Sibling
from generator.inspecting.proof import Evidence, Flaw, Proof, Verdict
from generator.inspecting.reading import read_binary
from generator.inspecting.rules import RULES, Rule
from generator.inspecting.verifying import Witness, verify_package

__all__ = [
    "RULES",
    "AuditReport",
    "Evidence",
    "Finding",
    "Flaw",
    "Manifest",
    "PackageAudit",
    "Proof",
    "Rule",
    "Sibling",
    "Verdict",
    "Witness",
    "manifest_schema_text",
    "read_binary",
    "verify_package",
]

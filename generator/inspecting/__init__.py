"""Looks into binaries and packages: the linkage audit, and the proof of where files come from."""

from generator.inspecting.audit import PackageAudit
from generator.inspecting.binary import Binary
from generator.inspecting.findings import (
    AcceptedFinding,
    AuditReport,
    Finding,
    linkage_policy,
)
from generator.inspecting.manifest import Manifest, manifest_schema_text
from generator.inspecting.prefix import Sibling
from generator.inspecting.proof import Evidence, Flaw, Proof, Verdict
from generator.inspecting.reading import read_binary
from generator.inspecting.rules import RULES, Rule
from generator.inspecting.symbols import Symbols, read_symbols
from generator.inspecting.together import audit_together
from generator.inspecting.verifying import Witness, verify_package

__all__ = [
    "RULES",
    "AcceptedFinding",
    "AuditReport",
    "Binary",
    "Evidence",
    "Finding",
    "Flaw",
    "Manifest",
    "PackageAudit",
    "Proof",
    "Rule",
    "Sibling",
    "Symbols",
    "Verdict",
    "Witness",
    "audit_together",
    "linkage_policy",
    "manifest_schema_text",
    "read_binary",
    "read_symbols",
    "verify_package",
]

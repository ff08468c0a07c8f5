"""Looks into binaries and packages: the linkage audit, and the proof of where files come from."""

from generator.inspecting.audit import PackageAudit
from generator.inspecting.binary import Binary
from generator.inspecting.findings import (
    AcceptedFinding,
    AuditReport,
    Finding,
    linkage_policy,
)
from generator.inspecting.limits import limits
from generator.inspecting.manifest import Manifest, manifest_schema_text
from generator.inspecting.packed_symbols import pack_defined, unpack_defined
from generator.inspecting.pairing import Asking, Shelf, Unmet, pairing_names, unmet
from generator.inspecting.prefix import Sibling
from generator.inspecting.proof import Evidence, Flaw, Proof, Verdict
from generator.inspecting.reading import read_binary, read_symbols
from generator.inspecting.rules import RULES, UNMET, Rule
from generator.inspecting.symbols import Symbols
from generator.inspecting.together import audit_together, unmet_beside
from generator.inspecting.verifying import Witness, verify_package

__all__ = [
    "RULES",
    "UNMET",
    "AcceptedFinding",
    "Asking",
    "AuditReport",
    "Binary",
    "Evidence",
    "Finding",
    "Flaw",
    "Manifest",
    "PackageAudit",
    "Proof",
    "Rule",
    "Shelf",
    "Sibling",
    "Symbols",
    "Unmet",
    "Verdict",
    "Witness",
    "audit_together",
    "limits",
    "linkage_policy",
    "manifest_schema_text",
    "pack_defined",
    "pairing_names",
    "read_binary",
    "read_symbols",
    "unmet",
    "unmet_beside",
    "unpack_defined",
    "verify_package",
]

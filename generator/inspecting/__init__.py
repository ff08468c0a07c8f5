"""The linkage audit: does every binary of a package find what it needs, on the right machine."""

from generator.inspecting.audit import PackageAudit
from generator.inspecting.findings import (
    AcceptedFinding,
    AuditReport,
    Finding,
    linkage_policy,
)
from generator.inspecting.prefix import Sibling
from generator.inspecting.reading import read_binary
from generator.inspecting.rules import RULES, Rule
from generator.inspecting.together import audit_together

__all__ = [
    "RULES",
    "AcceptedFinding",
    "AuditReport",
    "Finding",
    "PackageAudit",
    "Rule",
    "Sibling",
    "audit_together",
    "linkage_policy",
    "read_binary",
]

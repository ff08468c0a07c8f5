"""The linkage audit: does every binary of a package find what it needs, on the right machine."""

from generator.inspecting.audit import PackageAudit
from generator.inspecting.findings import AuditReport, Finding
from generator.inspecting.prefix import Sibling
from generator.inspecting.reading import read_binary
from generator.inspecting.rules import RULES, Rule

__all__ = ["RULES", "AuditReport", "Finding", "PackageAudit", "Rule", "Sibling", "read_binary"]

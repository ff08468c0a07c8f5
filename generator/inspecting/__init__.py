"""Looks into binaries and packages: the linkage audit, and the proof of where files come from."""

from generator.inspecting.audit import PackageAudit
from generator.inspecting.findings import AuditReport
from generator.inspecting.manifest import manifest_schema_text
from generator.inspecting.packed_symbols import pack_defined, unpack_defined
from generator.inspecting.pairing import Asking, unmet
from generator.inspecting.prefix import Sibling
from generator.inspecting.proof import Evidence, Proof
from generator.inspecting.reading import read_binary, read_symbols
from generator.inspecting.rules import Rule
from generator.inspecting.symbols import Symbols
from generator.inspecting.together import audit_together
from generator.inspecting.verifying import verify_package

"""The one door for documents of others: bytes, within limits, parsed, or a typed refusal.

Nothing outside this room opens JSON, YAML or zip files of others; tests/unit/test_doors.py lists
who calls a parser, and why.
"""

from generator.documents.conda_info import (
    info_files,
    read_info_file,
    read_info_files,
    same_payload,
    unpack_zstd,
)
from generator.documents.files import open_file, read_bytes, read_text
from generator.documents.json_text import load_json, split_json, split_json_array
from generator.documents.limits import limits
from generator.documents.local_rows import lay_over
from generator.documents.python_packaging import (
    holds,
    parse_requirement,
    parse_specifiers,
    parse_version,
)
from generator.documents.toml_text import load_toml
from generator.documents.yaml_text import line_of, load_yaml
from generator.documents.zips import open_zip, read_member

"""Tiny wheels that are true in structure, for what upstream serves nowhere or only in gigabytes."""

from tests.synthetic_wheels.archive import TinyWheel, record_hash, write_zip
from tests.synthetic_wheels.corrupt import CORRUPTIONS, corrupt
from tests.synthetic_wheels.projects import Release

__all__ = ["CORRUPTIONS", "Release", "TinyWheel", "corrupt", "record_hash", "write_zip"]

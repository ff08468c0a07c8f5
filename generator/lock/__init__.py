"""feedstock.lock.yaml: what exists upstream; read, written and compared."""

from generator.lock.announcing import Announcement, announce
from generator.lock.diff import LockDiff, diff_locks
from generator.lock.document import lock_text
from generator.lock.storage import lock_schema_text, parse_lock, read_lock, write_lock

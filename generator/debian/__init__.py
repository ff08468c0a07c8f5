"""A base of our own for a subdir that no base channel serves: packages from Debian's.

Which conda package takes which Debian packages is ``generator/data/debian.yaml``; what each of
them is, by version and sha256, stands in the lock; this room makes one of the other.
"""

from generator.debian.archive import Package, write
from generator.debian.deb import Deb
from generator.debian.making import Materials, Planned, planned, staged
from generator.debian.pinning import Pinned, deb_pins, wheel_pins
from generator.debian.rows import BaseRows, Target, base_rows
from generator.debian.wheels import WheelFile

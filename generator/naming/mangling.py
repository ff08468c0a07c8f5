"""What a bundled library was called before a wheel tool or torch's own build renamed it.

auditwheel puts the first eight digits of the file's sha256 behind the name, into the SONAME too
(``libgomp-d22c30c5.so.1.0.0``; auditwheel, repair.py, ``copylib``), and takes the file's real name,
which says more of the version than the SONAME. torchvision does the same with a dot and leaves the
SONAME (``libjpeg.9664032d.so.8``; vision, packaging/wheel/relocate.py). delvewheel puts 32 digits
behind the name (``msvcp140-d64049c6e3865410a7dda6a7e9f0c575.dll``), as many or eight by version.
delocate leaves the real name and makes the install name ``/DLC/<package>/.dylibs/<name>``
(delocate, delocating.py, ``copy_recurse``).
"""

from __future__ import annotations

import posixpath
import re
from typing import Final

_HASH: Final = re.compile(r"^(?P<name>[^.]+)[-.][0-9a-f]{8}(?:[0-9a-f]{24})?(?P<rest>\..+)$")
_ELF: Final = re.compile(r"^(?P<name>.+?\.so)(?P<version>(?:\.\d+)+)$")
_MACH_O: Final = re.compile(r"^(?P<name>.+?)(?P<version>(?:\.\d+)+)\.dylib$")
#: how delocate begins the install name of what it bundled: a path that is nowhere
DELOCATED: Final = "/DLC/"
#: the folders that wheels have libraries in for others to load
_FOLDERS: Final = re.compile(r"(^|/)(lib|[^/]+\.libs|\.dylibs)$")
#: those of them that wheel tools fill
_TOOLS_FOLDERS: Final = re.compile(r"(^|/)([^/]+\.libs|\.dylibs)$")
_LIBRARY: Final = re.compile(r"\.(so(\.[\w.]+)?|dylib|dll)$", re.IGNORECASE)


def without_hash(name: str) -> str:
    """Return a file's name or a library's own name without its folder and a tool's hash.

    >>> without_hash("torch.libs/libgomp-d22c30c5.so.1.0.0")
    'libgomp.so.1.0.0'
    >>> without_hash("/DLC/torchvision/.dylibs/libc++.1.0.dylib")
    'libc++.1.0.dylib'
    """
    base = posixpath.basename(name)
    found = _HASH.match(base)
    return f"{found['name']}{found['rest']}" if found else base


def plain_names(name: str) -> tuple[str, ...]:
    """Return what a library may have been called, the name with the most of its version first.

    A real name begins with the SONAME or install name: both tell the version of the ABI, the first
    number at least, which is never cut off.

    >>> plain_names("libgomp-d22c30c5.so.1.0.0")
    ('libgomp.so.1.0.0', 'libgomp.so.1.0', 'libgomp.so.1')
    >>> plain_names(".dylibs/libc++.1.0.dylib")
    ('libc++.1.0.dylib', 'libc++.1.dylib')
    """
    base = without_hash(name)
    for shape, text in ((_ELF, "{name}{version}"), (_MACH_O, "{name}{version}.dylib")):
        if found := shape.match(base):
            parts = found["version"].split(".")[1:]
            versions = ("".join(f".{part}" for part in parts[:n]) for n in range(len(parts), 0, -1))
            return tuple(text.format(name=found["name"], version=each) for each in versions)
    return (base,)


def is_bundled_place(member: str) -> bool:
    """Whether wheels have libraries for others to load at such a path; on Windows they are DLLs."""
    return _LIBRARY.search(member) is not None and (
        _FOLDERS.search(posixpath.dirname(member)) is not None or member.lower().endswith(".dll")
    )


def is_tools_work(path: str) -> bool:
    """Whether a wheel tool put a library where it lies, or gave it the name it has."""
    return _LIBRARY.search(path) is not None and (
        _TOOLS_FOLDERS.search(posixpath.dirname(path)) is not None
        or without_hash(path) != posixpath.basename(path)
    )

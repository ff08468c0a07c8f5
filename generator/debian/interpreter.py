"""Debian's CPython as conda-forge has its own: one prefix, site-packages below its library.

Debian sends its users' packages to dist-packages, has absolute paths in what is asked for how it
was built, and leaves certificates and time zones to the system.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from generator.debian.archive import PLACEHOLDER

#: what Debian changed in the standard library, changed back: file, pattern, replacement
_RESTORED: Final = (
    ("sysconfig.py", r"prefix_scheme = 'posix_local'", "prefix_scheme = 'posix_prefix'"),
    ("sysconfig/__init__.py", r"prefix_scheme = 'posix_local'", "prefix_scheme = 'posix_prefix'"),
    (
        "distutils/command/install.py",
        r"(?s) {16}if os\.path\.normpath\(self\.prefix\) == '/usr/local':.*?\"unix_local\"\)",
        " " * 16 + 'self.select_scheme("unix_prefix")',
    ),
    (
        "distutils/sysconfig.py",
        r'os\.path\.join\(prefix, "lib", "python3", "dist-packages"\)',
        'os.path.join(libpython, "site-packages")',
    ),
)
#: From 3.11 on the interpreter carries `site` frozen inside, Debian's changes included, so that no
#: edit of site.py reaches it. This runs at the end of its start.
_SITECUSTOMIZE: Final = '''\
"""site-packages as upstream has it, in the place of Debian's, and certificates of the prefix."""

import os
import site
import sys


def getsitepackages(prefixes=None):
    folder = "python%d.%d" % sys.version_info[:2]
    prefixes = dict.fromkeys(prefixes or site.PREFIXES)
    return [os.path.join(prefix, "lib", folder, "site-packages") for prefix in prefixes]


site.getsitepackages = getsitepackages
site.addsitepackages(None)

# OpenSSL has Debian's own folder compiled in, which another system does not have
_certificates = os.path.join(sys.base_prefix, "ssl", "cert.pem")
if os.path.isfile(_certificates):
    os.environ.setdefault("SSL_CERT_FILE", _certificates)
'''
_MULTIARCH: Final = re.compile(r"/usr/lib/[a-z0-9_]+-linux-gnu[a-z]*\b")
_BUILD: Final = re.compile(
    r"/usr(?=/(?:include|lib|share)\b|/bin'|/bin/python|')(?!/share/zoneinfo|/lib/zoneinfo)"
)
_ZONES: Final = ("'TZPATH': '", f"'TZPATH': '{PLACEHOLDER}/share/zoneinfo:")


def restore(tree: Path, version: str) -> None:
    """Undo Debian's changes and let the paths of the build be those of the prefix."""
    for name in ("python3", "python"):
        (tree / "bin" / name).symlink_to(f"python{version}")
    library = tree / f"lib/python{version}"
    for name, pattern, replacement in _RESTORED:
        path = library / name
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            path.write_text(re.sub(pattern, replacement, text), encoding="utf-8")
    (library / "sitecustomize.py").write_text(_SITECUSTOMIZE, encoding="utf-8")
    for path in library.glob("_sysconfigdata_*.py"):
        if not path.is_symlink():
            text = path.read_text(encoding="utf-8")
            text = _MULTIARCH.sub(f"{PLACEHOLDER}/lib", text).replace(*_ZONES)
            path.write_text(_BUILD.sub(PLACEHOLDER, text), encoding="utf-8")

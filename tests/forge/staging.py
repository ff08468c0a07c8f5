"""A package on its way: staged files and what the declaration says, before NEEDED is resolved."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from generator.debian import archive, binaries, interpreter, wheels
from tests.forge import elf
from tests.forge.archive import Package
from tests.forge.declaration import SUBDIR, Pin
from tests.forge.errors import ForgeError

_NUMBER = re.compile(r"^\d+")


@dataclass(frozen=True)
class Staged:
    """A package with its explicit dependencies only, and what others may pin it by."""

    package: Package
    suite: str | None = None
    pin: Pin | None = None

    def offered(self) -> set[str]:
        """The library names found in the package's lib folder."""
        tree = self.package.tree
        if tree is None:
            return set()
        return {path.name for path in (tree / "lib").glob("*.so*")}

    def requirement(self) -> str:
        """What a package that links this one depends on."""
        version = self.package.version
        upper = f",<{_next(version, self.pin)}" if self.pin else ""
        return f"{self.package.name} >={version}{upper}"


@cache
def code_digest() -> str:
    """The digest of the forge itself: what it writes may differ when any of it changes."""
    digest = hashlib.sha256()
    theirs = [Path(str(module.__file__)) for module in (archive, binaries, interpreter, wheels)]
    for path in (*sorted(Path(__file__).parent.glob("*")), *theirs):
        # the stand-ins are a channel of their own, written anew every time
        if path.suffix in {".py", ".yaml"} and path.stem != "standins":
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def build_hash(sources: Iterable[str]) -> str:
    """Seven hex digits over a package's sources, as conda-build's are over its variant.

    Caches of conda clients go by file name, so another content must have another name.
    """
    text = "\n".join([code_digest(), *sorted(sources)])
    return hashlib.sha256(text.encode()).hexdigest()[:7]


def resolve(staged: list[Staged]) -> list[Package]:
    """Turn every NEEDED library into a dependency on the package that has it."""
    providers: dict[str, list[Staged]] = {}
    for item in staged:
        for name in item.offered():
            providers.setdefault(name, []).append(item)
    return [_resolve_one(item, providers) for item in staged]


def _resolve_one(item: Staged, providers: Mapping[str, list[Staged]]) -> Package:
    package = item.package
    if package.tree is None or package.subdir != SUBDIR:
        return package
    depends = set(package.depends)
    declared = {spec.split()[0] for spec in depends}
    own = {path.name for path in package.tree.rglob("*.so*")}
    glibc: tuple[int, int] | None = None
    for binary in elf.binaries(package.tree):
        needs = elf.needs(binary)
        glibc = max(glibc or needs.glibc, needs.glibc)
        for library in needs.libraries:
            if library in own or library in elf.SYSTEM_LIBRARIES:
                continue
            if library not in providers:
                where = binary.relative_to(package.tree)
                msg = f"{package.name}: {where} needs {library}, which no row of packages.yaml has"
                raise ForgeError(msg)
            provider = _nearest(item, providers[library])
            if provider.package.name not in declared:
                depends.add(provider.requirement())
    if glibc:
        depends.add(f"__glibc >={glibc[0]}.{glibc[1]},<3.0.a0")
    return replace(package, depends=tuple(sorted(depends)))


def _nearest(consumer: Staged, offers: list[Staged]) -> Staged:
    """The provider a binary was linked against: its own suite's, else the oldest.

    A library keeps its SONAME for as long as newer versions serve older users.
    """
    same_suite = [offer for offer in offers if offer.suite and offer.suite == consumer.suite]
    return min(same_suite or offers, key=lambda offer: _parts(offer.package.version))


def _parts(version: str) -> list[int]:
    found = (_NUMBER.match(part) for part in version.split("."))
    return [int(match[0]) for match in found if match]


def _next(version: str, pin: Pin) -> str:
    """The first version that `pin` shuts out: 3.4.4 with x.x gives 3.5.0a0."""
    parts = _parts(version)[: pin.count("x")]
    parts[-1] += 1
    return ".".join(map(str, parts)) + ".0a0"

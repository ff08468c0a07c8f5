"""Debian's packages, fetched by apt into a private root.

apt itself does the work, so the mirror is the one this machine is set up for and every byte goes
through apt's own chain: the archive's key signs the Release file, which holds the digests of the
package lists, which hold the digests of the packages (apt-secure(8)). The private root (``Dir``)
has its own sources, lists and (empty) package state: the machine's own apt and dpkg are read, never
changed, and no foreign architecture is added to them. None of this needs root.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from generator.atomic import write_text
from generator.compiling.running import run
from generator.errors import BuildError, MissingToolError, UnreachableError

#: names a mirror of Debian's main archive in the place of the machine's own
MIRROR_VARIABLE: Final = "ARMTORCH_DEBIAN_MIRROR"
_KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_FOLDERS: Final = (
    "etc/apt/apt.conf.d",
    "etc/apt/preferences.d",
    "etc/apt/sources.list.d",
    "etc/apt/trusted.gpg.d",
    "var/lib/apt/lists/partial",
    "var/lib/dpkg",
    "var/cache/apt/archives/partial",
)
#: a line of --simulate: Inst libc6:armhf (2.41-12 Debian:13.8/stable [armhf])
_CHOSEN: Final = re.compile(r"^Inst (\S+) \((\S+) ", re.MULTILINE)
#: a line of --print-uris: 'URI' file size SHA256:digest
_LISTED: Final = re.compile(r"'[^']*' (?P<file>\S+) (?P<size>\d+) SHA256:(?P<sha256>[0-9a-f]{64})")


@dataclass(frozen=True)
class Listed:
    """A file that apt would fetch, with the digest of the signed list."""

    file: str
    size: int
    sha256: str

    @property
    def name(self) -> str:
        """The package's name."""
        return self.file.split("_")[0]


@dataclass(frozen=True, kw_only=True)
class Apt:
    """A private root of apt for some architectures (the machine's first) and suites."""

    folder: Path
    architectures: tuple[str, ...]
    suites: tuple[str, ...]
    sources: bool = False

    def update(self) -> None:
        """Write the root and bring its lists up to date.

        Raises MissingToolError: Debian's keys are not on the machine. Raises UnreachableError: no
        mirror serves the suites.
        """
        if not _KEYRING.is_file():
            raise MissingToolError(
                "Debian's keys are not there, so nothing from Debian can be verified",
                where=str(_KEYRING),
                next_step="apt-get install debian-archive-keyring",
            )
        for folder in _FOLDERS:
            (self.folder / folder).mkdir(parents=True, exist_ok=True)
        status = self.folder / "var/lib/dpkg/status"
        status.touch()
        names = "".join(f' "{each}";' for each in self.architectures)
        write_text(
            self.folder / "apt.conf",
            f'Dir "{self.folder}/";\n'
            f'Dir::State::status "{status}";\n'
            f'APT::Architecture "{self.architectures[0]}";\n'
            f"APT::Architectures {{{names} }};\n"
            'APT::Sandbox::User "root";\n'
            'APT::Install-Recommends "false";\n'
            'Acquire::Languages "none";\n'
            'Acquire::Retries "3";\n',
        )
        refusals = []
        for mirror in mirrors():
            write_text(self.folder / "etc/apt/sources.list.d/armtorch.list", self._lines(mirror))
            try:
                self.run("-o", "APT::Update::Error-Mode=any", "update")
            except BuildError as error:
                refusals.append(f"{mirror}: {error.what}")
            else:
                return
        raise UnreachableError(
            f"no configured mirror serves {', '.join(self.suites)} for "
            f"{', '.join(self.architectures)}\n" + "\n".join(refusals),
            where="the machine's apt sources",
            next_step=f"name a mirror of Debian's main archive in {MIRROR_VARIABLE}",
        )

    def needed(self, packages: Iterable[str]) -> tuple[str, ...]:
        """Return all that installing packages takes, each as apt names one of one version."""
        said = self.run("--simulate", "install", *packages)
        return tuple(f"{each[1]}={each[2]}" for each in _CHOSEN.finditer(said))

    def fetch(self, names: Iterable[str], folder: Path) -> tuple[Listed, ...]:
        """Fetch what a folder lacks of packages, or has in part; raises BuildError."""
        folder.mkdir(parents=True, exist_ok=True)
        wanted = tuple(names)
        listed = self.listed(wanted)
        kept = [keeps(folder / each.file, each.sha256) for each in listed]
        if not all(kept):
            # apt lists in an order of its own, and does not fetch again what lies there whole
            self.run("download", *wanted, cwd=folder)
        return listed

    def listed(self, packages: Iterable[str]) -> tuple[Listed, ...]:
        """Return what packages are, in apt's order; raises BuildError where apt names no sha256."""
        lines = self.run("download", "--print-uris", *packages).splitlines()
        found = [_LISTED.match(line) for line in lines if line]
        if any(match is None for match in found):
            raise BuildError(
                "apt names no sha256 for a file",
                where="apt-get download --print-uris",
                next_step="take an archive that has them: Debian's own",
            )
        return tuple(
            Listed(each["file"], int(each["size"]), each["sha256"]) for each in found if each
        )

    def run(self, *arguments: str, cwd: Path | None = None) -> str:
        """Run apt-get in this root; raises BuildError."""
        return run(
            ["apt-get", "-q", *arguments], {"APT_CONFIG": str(self.folder / "apt.conf")}, cwd
        )

    def _lines(self, mirror: str) -> str:
        wanted = ",".join(self.architectures)
        kinds = [f"deb [arch={wanted} signed-by={_KEYRING}]"]
        if self.sources:
            kinds.append(f"deb-src [signed-by={_KEYRING}]")
        return "".join(f"{kind} {mirror} {suite} main\n" for suite in self.suites for kind in kinds)


def keeps(path: Path, sha256: str) -> bool:
    """Whether a file is there whole; takes away what a kill has left of it."""
    if not path.is_file():
        return False
    if hashlib.sha256(path.read_bytes()).hexdigest() == sha256:
        return True
    path.unlink()
    return False


def mirrors() -> list[str]:
    """Return addresses that may hold Debian's main archive, from the environment or from apt.

    apt fills in ORIGIN only once it has fetched a list, so on a fresh machine it says nothing of
    who signs what; then each repository is tried, and the keyring decides.
    """
    named = os.environ.get(MIRROR_VARIABLE)
    if named:
        return [named]
    form = "$(ORIGIN)|$(RELEASE)|$(REPO_URI)"
    listing = run(["apt-get", "indextargets", "--format", form, "Created-By: Packages"])
    candidates: dict[str, bool] = {}
    for line in listing.splitlines():
        origin, release, uri = line.split("|", 2)
        if "-" not in release and not release.endswith("/"):
            candidates[uri] = candidates.get(uri, False) or origin == "Debian"
    return sorted(candidates, key=lambda uri: not candidates[uri])

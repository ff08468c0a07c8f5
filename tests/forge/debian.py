"""Debian's arm64 packages, fetched by apt into a private root.

apt itself does the work, so the mirror is the one this machine is set up for and every byte goes
through apt's own chain: the archive's key signs the Release file, which holds the digests of the
package lists, which hold the digests of the debs. The private root (`Dir`) has its own sources,
lists and (empty) package state: the machine's own apt and dpkg are read, never changed, and no
foreign architecture is added to them. None of this needs root.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from filelock import FileLock

from tests.forge.errors import ForgeError

MIRROR_VARIABLE = "ARMTORCH_FORGE_MIRROR"
_ARCHITECTURE = "arm64"
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_FOLDERS = (
    "etc/apt/apt.conf.d",
    "etc/apt/preferences.d",
    "etc/apt/sources.list.d",
    "etc/apt/trusted.gpg.d",
    "var/lib/apt/lists/partial",
    "var/lib/dpkg",
    "var/cache/apt/archives/partial",
)


@dataclass(frozen=True)
class Deb:
    """One fetched Debian package, its files in `folder`."""

    name: str
    suite: str
    path: Path
    sha256: str

    @property
    def folder(self) -> Path:
        """Where the files lie; a deb of other bytes has another folder."""
        return self.path.with_name(f"{self.path.stem}.{self.sha256[:16]}")

    @property
    def version(self) -> str:
        """Debian's own version, epoch and revision included."""
        return unquote(self.path.name).split("_")[1]

    @property
    def upstream_version(self) -> str:
        """The version without Debian's epoch, revision and repacking marks."""
        version = self.version.split(":", 1)[-1].rsplit("-", 1)[0]
        return version.split("+", 1)[0].split("~", 1)[0]

    def is_intact(self) -> bool:
        """Whether the file is here with the digest of the signed package list."""
        if not self.path.is_file():
            return False
        return hashlib.sha256(self.path.read_bytes()).hexdigest() == self.sha256


def fetch(wanted: Mapping[str, Collection[str]], cache: Path) -> dict[tuple[str, str], Deb]:
    """Fetch and unpack the debs of each suite; what is there from an earlier call stays."""
    cache.mkdir(parents=True, exist_ok=True)
    # one apt root serves all: whoever asks writes its sources anew
    with FileLock(cache / "apt.lock"):
        return _fetched(wanted, cache)


def _fetched(wanted: Mapping[str, Collection[str]], cache: Path) -> dict[tuple[str, str], Deb]:
    root = _private_root(cache / "apt", sorted(wanted))
    found: dict[tuple[str, str], Deb] = {}
    for suite, names in sorted(wanted.items()):
        folder = cache / "debs" / suite
        folder.mkdir(parents=True, exist_ok=True)
        asked = [f"{name}/{suite}" for name in sorted(names)]
        listing = _apt(root, "download", "--print-uris", *asked)
        debs = [_from_listing(line, suite, folder) for line in listing.splitlines() if line]
        missing = [deb for deb in debs if not deb.is_intact()]
        if missing:
            for deb in missing:
                deb.path.unlink(missing_ok=True)
            _apt(root, "download", *(f"{deb.name}/{suite}" for deb in missing), cwd=folder)
        for deb in debs:
            _unpack(deb)
            found[suite, deb.name] = deb
    return found


def _unpack(deb: Deb) -> None:
    """Put the deb's files into its folder, once."""
    if deb.folder.is_dir():
        return
    partial = deb.folder.with_name(f".{deb.folder.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    _run(["dpkg-deb", "--extract", str(deb.path), str(partial)], {}, None)
    partial.rename(deb.folder)


def _from_listing(line: str, suite: str, folder: Path) -> Deb:
    """Read a line of `apt-get download --print-uris`: 'URI' file size SHA256:digest."""
    fields = line.split()
    if len(fields) < 4 or not fields[3].startswith("SHA256:"):
        msg = f"apt did not name a sha256 for a deb of {suite}: {line!r}"
        raise ForgeError(msg)
    file = fields[1]
    return Deb(file.split("_")[0], suite, folder / file, fields[3].removeprefix("SHA256:"))


def _private_root(root: Path, suites: list[str]) -> Path:
    """Write an apt root for arm64 and bring its package lists up to date."""
    if not _KEYRING.is_file():
        msg = (
            f"{_KEYRING} is missing, so nothing from Debian can be verified; "
            "install it: apt-get install debian-archive-keyring"
        )
        raise ForgeError(msg)
    for folder in _FOLDERS:
        (root / folder).mkdir(parents=True, exist_ok=True)
    status = root / "var/lib/dpkg/status"
    status.touch()
    (root / "apt.conf").write_text(
        f'Dir "{root}/";\n'
        f'Dir::State::status "{status}";\n'
        f'APT::Architecture "{_ARCHITECTURE}";\n'
        f'APT::Architectures {{ "{_ARCHITECTURE}"; }};\n'
        'APT::Sandbox::User "root";\n'
        'Acquire::Languages "none";\n'
        'Acquire::Retries "3";\n'
    )
    refusals = []
    for mirror in _mirrors():
        sources = (
            f"deb [arch={_ARCHITECTURE} signed-by={_KEYRING}] {mirror} {suite} main\n"
            for suite in suites
        )
        (root / "etc/apt/sources.list.d/forge.list").write_text("".join(sources))
        try:
            _apt(root, "-o", "APT::Update::Error-Mode=any", "update")
        except ForgeError as error:
            refusals.append(f"{mirror}: {error}")
        else:
            return root
    msg = (
        f"no configured mirror serves Debian's {', '.join(suites)} for {_ARCHITECTURE}; "
        f"name one in {MIRROR_VARIABLE}\n" + "\n".join(refusals)
    )
    raise ForgeError(msg)


def _mirrors() -> list[str]:
    """Addresses that may hold Debian's main archive, from the environment or this machine's apt.

    apt fills in ORIGIN only once it has fetched a list, so on a fresh machine it says nothing of
    who signs what; then each repository is tried, and the keyring decides.
    """
    named = os.environ.get(MIRROR_VARIABLE)
    if named:
        return [named]
    listing = _run(
        ["apt-get", "indextargets", "--format", "$(ORIGIN)|$(RELEASE)|$(REPO_URI)",
         "Created-By: Packages"],
        {}, None,
    )  # fmt: skip
    candidates: dict[str, bool] = {}
    for line in listing.splitlines():
        origin, release, uri = line.split("|", 2)
        if "-" not in release and not release.endswith("/"):
            candidates[uri] = candidates.get(uri, False) or origin == "Debian"
    return sorted(candidates, key=lambda uri: not candidates[uri])


def _apt(root: Path, *arguments: str, cwd: Path | None = None) -> str:
    return _run(["apt-get", "-q", *arguments], {"APT_CONFIG": str(root / "apt.conf")}, cwd)


def _run(command: list[str], environment: dict[str, str], cwd: Path | None) -> str:
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "LC_ALL": "C.UTF-8", **environment},
            cwd=cwd,
            check=True,
            capture_output=True,
            text=True,
        )
    except FileNotFoundError as error:
        msg = f"{command[0]} is not on this machine; the forge is made from Debian's packages"
        raise ForgeError(msg) from error
    except subprocess.CalledProcessError as error:
        msg = f"{' '.join(command)} failed: {(error.stderr or error.stdout).strip()}"
        raise ForgeError(msg) from error
    return done.stdout

"""What somebody asked a client for, its wishes, and how that is asked for something else."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Literal

from rattler import MatchSpec
from rattler.exceptions import InvalidMatchSpecError, InvalidPackageNameError

from generator.errors import SelectionError
from generator.explaining.facts import Client, aside, facts, is_switch

#: a command somebody typed, an environment.yml, or another tool's message
Origin = Literal["command", "file", "error"]

#: what ends like no package, and what it is: one of explaining.yaml's refusals
_REFUSED = {",": "comma", **dict.fromkeys((".conda", ".tar.bz2"), "file")}
_REFUSED |= dict.fromkeys((".yml", ".yaml", ".txt"), "list")
#: as a variable says that channels do not hide each other
LOOSE = "CONDA_CHANNEL_PRIORITY=flexible"
#: what shells do not leave alone in a word
_SPECIAL = frozenset(" <>|&*[]()'\"`;!$#\\{}")


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request as a client understands it."""

    client: Client
    #: ``install``, ``create``, ``add``, ``global install`` ...
    verb: str
    specs: tuple[str, ...]
    #: as typed, without the client's own
    channels: tuple[str, ...] = ()
    #: the client's own channels, which are asked after those
    defaults: tuple[str, ...] = ()
    #: whether the command must say that the client's own channels are not to be asked
    override: bool = False
    #: whether ``defaults`` is what most clients ask, and nobody saw or said what this one does
    assumed: bool = False
    #: whether ``nodefaults`` shuts out the channel defaults, and no other
    shuts_out: bool = False
    strict: bool = False
    #: how the command says that channels do not hide each other, whatever is configured; "" for not
    loose: str = ""
    #: specs of what is in the environment already: solved along, no part of the command
    beside: tuple[str, ...] = ()
    #: None for the machine's own
    subdir: str | None = None
    #: ``-n NAME`` or ``-p PATH``; of pixi's what says where, ``--feature NAME``
    target: tuple[str, ...] = ()
    #: of a Dockerfile, or the job of a workflow: each has environments of its own
    stage: int = 0
    origin: Origin = "command"
    #: virtual packages that variables set for the command, ``__cuda=13.0``
    overrides: tuple[str, ...] = ()
    #: whether the client said itself which channels it asks
    listed: bool = False
    #: whether a variable before the command named the subdir, so that it is a part of it
    typed_subdir: bool = False
    #: what a file is to be installed on
    platforms: tuple[str, ...] = ()
    #: specs that conda-lock keeps for some platforms alone, each with its file's comment
    selected: tuple[tuple[str, str], ...] = ()
    #: the subdir that an environment was exported on, "" for a file that somebody wrote
    exported: str = ""
    #: the subdirs of a lock, whose addresses are for those alone
    locked: tuple[str, ...] = ()
    #: the subdirs of the installers before it, one of which is to bring the client
    installers: tuple[str, ...] = ()
    #: channels that a client refuses to ask, and why
    denied: tuple[tuple[str, str], ...] = ()
    #: the environment file it was read from
    document: dict[str, Any] | None = field(default=None, compare=False, hash=False)
    #: whether it stands for one that asks for CUDA, as pip's do by their index
    cuda: bool = False
    #: specs whose version is a variable that nothing sets
    unset: tuple[str, ...] = ()
    #: what was read and not used, in plain words
    notes: tuple[str, ...] = ()

    @property
    def searched(self) -> tuple[str, ...]:
        """All channels in the order of priority; ``channel::name`` adds its own, as in conda."""
        named = (channel for spec in self.solved if (channel := channel_of(spec)))
        return tuple(dict.fromkeys((*self.channels, *named, *self.defaults)))

    @property
    def solved(self) -> tuple[str, ...]:
        """All specs that must have a solution together."""
        return tuple(dict.fromkeys((*self.specs, *self.beside)))

    def anew(self) -> Request:
        """Return the request for an environment of its own, nothing beside it."""
        if self.client == "pixi" or self.verb == "create":
            return replace(self, beside=())
        return replace(self, verb="create", beside=(), target=("-n", "torch"))

    def in_full(self) -> Request:
        """Return the request with all its channels named, whatever its client asks on its own."""
        return replace(self, channels=self.searched) if self.assumed else self

    def swap(self, old: str, new: str | None) -> Request:
        """Return the request with a spec replaced, or left out for None."""
        specs = [new if text == old else text for text in self.specs]
        return replace(self, specs=tuple(dict.fromkeys(text for text in specs if text)))

    def command(self) -> str:
        """Return the command line that asks the same client for it."""
        words = list(self.specs)
        if self.client == "pixi":
            return self._pixi(words)
        head = [self.client, *self.verb.split(), *self.target]
        options = [part for channel in self.channels for part in ("-c", channel)]
        if self.override:
            options.append("--override-channels")
        if self.strict:
            options.append("--strict-channel-priority")
        elif self.loose.startswith("-"):
            options += self.loose.split()
        line = [*head, *words, *options]
        # conda's shells on Windows take no variable before a command
        windows = (self.subdir or "").startswith("win") and self.verb == "create"
        if self.subdir and (self.client == "micromamba" or windows):
            line += ["--platform", self.subdir]
        variables = (
            [f"CONDA_SUBDIR={self.subdir} "] if self.subdir and "--platform" not in line else []
        )
        return "".join([*variables, self._variables()]) + _joined(line)

    def _variables(self) -> str:
        parts = (text.lstrip("_").split("=") for text in self.overrides)
        loose = f"{self.loose} " if "CONDA_" in self.loose and self.client != "pixi" else ""
        return loose + "".join(f"CONDA_OVERRIDE_{n.upper()}={rest[-1]} " for n, *rest in parts)

    def _pixi(self, words: list[str]) -> str:
        options = ["--platform", self.subdir] if self.subdir else []
        # a manifest's environment is no part of a command
        options += self.target if self.target[:1] != ("",) else ()
        if self.verb != "add":
            asked = dict.fromkeys((*self.channels, *self.defaults)) if self.channels else ()
            options += [part for channel in asked for part in ("-c", channel)]
            return self._variables() + _joined(["pixi", *self.verb.split(), *options, *words])
        # pixi add takes its channels from the workspace
        added = [
            f"pixi workspace channel add --prepend {shlex.quote(channel)} && "
            for channel in reversed(self.channels)
            if channel not in self.defaults
        ]
        # and what there is to compute with (pixi docs, "System Requirements")
        added += [
            f"pixi workspace system-requirements add cuda {text.partition('=')[2]} && "
            for text in self.overrides
            if text.startswith("__cuda=")
        ]
        return "".join(added) + self._variables() + _joined(["pixi", "add", *options, *words])


@cache
def parsed(spec: str) -> MatchSpec:
    """Read one spec (CEP 29); raises SelectionError."""
    try:
        return MatchSpec(spec)
    except (InvalidMatchSpecError, InvalidPackageNameError) as error:
        raise _refusal("unreadable", spec, error=str(error).splitlines()[0]) from error


def spec_of(word: str) -> str:
    """Check one spec and write it without spaces where it can be; raises SelectionError."""
    text = re.sub(r"\s*([<>=!~|,])\s*", r"\1", word.strip())
    # conda takes a subdir behind the channel for the channel itself (CEP 29)
    text = re.sub(r"^([\w.-]+)/(?:(?:linux|osx|win)-\w+|noarch)::", r"\1::", text)
    for ends, kind in _REFUSED.items():
        if text.endswith(ends):
            raise _refusal(kind, word, name=text.rsplit("/", 1)[-1].rsplit("-", 2)[0])
    if text.startswith("-"):
        raise _refusal("option", word)
    if "channel" in text.partition("[")[2]:
        # the same as `channel::name`, which is how all else reads it (CEP 29)
        wanted = parsed(text)
        inner = re.sub(r"channel\s*=\s*[\"']?[^\s,\"'\]]+[\"']?,?", "", text)
        name = str(wanted.channel.name).rpartition("/")[2] if wanted.channel else ""
        text = f"{name}::{inner.replace('[]', '').replace(',]', ']')}" if name else text
    wanted = parsed(text)
    if re.search(r"[:@]", text.rpartition("::")[2].split("[")[0]) or wanted.build == ".":
        raise _refusal("none", word)
    name_of(text)
    return text


def _refusal(kind: str, word: str, **known: str) -> SelectionError:
    what, then = facts().refusals[kind]
    said = what.format(**known)
    return SelectionError(said, where=word, next_step=then.format(word=word, **known))


def channel_of(spec: str) -> str:
    """Return the channel that ``channel::name`` names, "" for none."""
    return spec.partition("::")[0] if "::" in spec else ""


@cache
def name_of(spec: str) -> str:
    """Return the package that a spec is about; raises SelectionError."""
    text = str(parsed(spec).name.normalized or "")
    if not text or any(character in text for character in "*^$"):
        raise _refusal("name", spec)
    return text


def _joined(words: list[str]) -> str:
    """Quote only what a shell would take apart; `=` and `*` after it are left to be read."""
    return " ".join(_quoted(word) if set(word) & _SPECIAL else word for word in words)


def _quoted(word: str) -> str:
    """Quote a word; double quotes around single ones are easier to read than what shlex writes."""
    if re.search(r"\$[\w{]", word):
        return f'"{word}"'  # a variable that nothing here sets is the shell's to put in
    if "'" not in word:
        return f"'{word}'"
    return shlex.quote(word) if set(word) & set('"$`\\!') else f'"{word}"'


#: in the order in which they are kept; the last is dropped first
Kind = Literal["name", "python", "major", "minor", "patch", "channel", "build", "switch"]
_KINDS: tuple[Kind, ...] = (
    "name", "python", "major", "minor", "patch", "channel", "build", "switch",
)  # fmt: skip
_NUMBERS = re.compile(r"^(?:==)?(?P<parts>\d+(?:\.\w+)*)(?:\.\*)?$")


@dataclass(frozen=True, kw_only=True)
class Wish:
    """One thing that is asked of one package, as a spec of its own: solvers take all of a name."""

    kind: Kind
    name: str
    #: what the solver is told
    spec: str
    #: the spec of the request that it is a part of
    of: str


def wishes(request: Request) -> tuple[Wish, ...]:
    """Take a request apart, the most important wish first; raises SelectionError.

    Of wishes of a kind, those of the packages that it is about come before others.
    """
    found = [(wish, place) for place, spec in enumerate(request.specs) for wish in _of(spec)]
    found += [(wish, len(found)) for spec in request.beside for wish in _of(spec)]
    found.sort(key=lambda pair: (_KINDS.index(pair[0].kind), aside(pair[0].name), pair[1]))
    return tuple(wish for wish, _ in found)


def composed(request: Request, kept: Iterable[Wish]) -> Request:
    """Return the request for what is kept of it, in the order in which it was asked."""
    groups: dict[str, list[Wish]] = {}
    for wish in kept:
        groups.setdefault(wish.of, []).append(wish)
    specs = [_written(groups[spec], spec) for spec in request.specs if spec in groups]
    # one name that was asked for twice says nothing where it is left bare
    specs = [spec for spec in specs if not any(name_of(o) == spec != o for o in specs)]
    beside = [_written(groups[spec], spec) for spec in request.beside if spec in groups]
    return replace(request, specs=tuple(dict.fromkeys(specs)), beside=tuple(beside))


def _of(spec: str) -> Iterator[Wish]:
    name, wanted = name_of(spec), parsed(spec)
    switch = is_switch(name)

    def wish(kind: Kind, text: str) -> Wish:
        return Wish(kind="switch" if switch else kind, name=name, spec=text, of=spec)

    yield wish("name", name)
    for kind, version in _versions(str(wanted.version or "*"), python=name == "python"):
        yield wish(kind, f"{name} {version}")
    if channel := channel_of(spec):
        yield wish("channel", f"{channel}::{name}")
    if wanted.build is not None or wanted.build_number is not None:
        number = f'[build_number="{wanted.build_number}"]' if wanted.build_number else ""
        yield wish("build", f"{name} * {wanted.build or '*'}" if wanted.build else name + number)


def _versions(version: str, *, python: bool) -> Iterator[tuple[Kind, str]]:
    if version == "*":
        return
    if (match := _NUMBERS.match(version)) is None:
        for part in version.split(","):
            yield "python" if python else "minor", part
        return
    parts = match["parts"].split(".")
    if not python:
        yield "major", f"{parts[0]}.*"
    if len(parts) > 1:
        yield "python" if python else "minor", f"{parts[0]}.{parts[1]}.*"
    if len(parts) > 2 or version.startswith("=="):
        yield "patch", version
    if python and len(parts) == 1:
        yield "python", f"{parts[0]}.*"


def _written(kept: Sequence[Wish], spec: str) -> str:
    """Write what is kept of a spec as people do."""
    name = kept[0].name
    if {wish.spec for wish in _of(spec)} == {wish.spec for wish in kept}:
        return spec
    versions = [w.spec.split(" ", 1)[1] for w in kept if " " in w.spec and " * " not in w.spec]
    # of 1.*, 1.13.* and ==1.13.1 the last one says it all
    exact = [text for text in versions if _NUMBERS.match(text)]
    version = ",".join(text for text in versions if text not in exact[:-1])
    build = next((w.spec.split(" * ")[1] for w in kept if " * " in w.spec), "")
    channel = next((w.spec.partition("::")[0] + "::" for w in kept if "::" in w.spec), "")
    if build and not version.startswith(("<", ">", "!", "~")):
        return f"{channel}{name}={version.removeprefix('==') or '*'}={build}"
    if build or ("," in version and version[0].isdigit()):
        return " ".join(each for each in (f"{channel}{name}", version, build) if each)
    if version.endswith(".*"):
        version = f"={version.removesuffix('.*')}"
    number = next((w.spec.removeprefix(name) for w in kept if "[build_number" in w.spec), "")
    return f"{channel}{name}{version}{number}"

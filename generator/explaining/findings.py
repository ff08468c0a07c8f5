"""The causes an explanation knows, as data: one finding per package and channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: why a package cannot be had:
#: ``absent``: the channel has nothing of this name, for no subdir
#: ``elsewhere``: the channel has it for other subdirs only
#: ``python``, ``version``, ``build``: it is there for other Pythons, in other versions or builds
#: ``dependencies``: it is there, and something it depends on is not
#: ``priority``: an earlier channel has the name and hides this one's
#: ``virtual``: this machine's C library, macOS, driver or CPU excludes it
#: ``conflict``: it is there, and not together with something else that is asked for
#: ``denied``: the client does not ask the channel; ``locked``: it names packages of other subdirs;
#: ``installer``: the conda that was installed before is for other subdirs
#: ``no-channel``, ``unreachable``, ``malformed``: the channel itself (decision D7)
#: the most telling first: the verdict names that
Cause = Literal[
    "locked", "installer", "no-channel", "denied", "virtual", "python", "conflict", "priority",
    "dependencies", "build", "version", "elsewhere", "absent", "malformed", "unreachable",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One cause for one package on one channel."""

    cause: Cause
    #: "" where the channel itself is what was found out about
    package: str = ""
    #: as asked for
    spec: str = ""
    #: as the person calls it; "" for all of them together
    channel: str = ""
    #: where else it is, or what versions, builds or Pythons there are, newest first
    offered: tuple[str, ...] = ()
    #: from the package to what is not there: each a spec
    chain: tuple[str, ...] = ()
    #: the virtual package that excludes it, with both values
    virtual: str = ""
    found: str = ""
    needed: str = ""
    #: the channel that hides it; the other specs of a conflict; a name that was perhaps meant
    hidden_by: str = ""
    against: tuple[str, ...] = ()
    meant: str = ""
    detail: str = ""

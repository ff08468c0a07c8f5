"""What a wheel's name and its index say about the accelerator it is for, before it is read.

download.pytorch.org says it in local versions (``2.13.0+cu130``); the Jetson index says it in its
URL and in the wheel only. What is claimed is held against the wheel later; nothing is built on a
claim alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from packaging.version import Version

from generator.errors import FeedstockError
from generator.feedstock import IndexSource
from generator.model.accelerator import accelerator_of_label

_BOARD: Final = "-tegra"
#: how the address of a `pytorch` index ends that stands for every CUDA line
EVERY_LINE: Final = "cu*"
#: where upstream's own sub-indexes have wheels of ARM for (pytorch/test-infra,
#: generate_binary_build_matrix.py, August 2026): CUDA for Linux alone
_PYTORCH_CPU: Final = ("linux-aarch64", "osx-arm64", "win-arm64")
_PYTORCH_CUDA: Final = ("linux-aarch64",)


@dataclass(frozen=True, kw_only=True)
class Claims:
    """How the wheels of one index are to be understood."""

    #: ``cpu``, ``cuda130``, ``cuda126-tegra``; ``cuda`` and ``cuda-tegra`` for a line that only
    #: the wheel tells; "" where METADATA tells all
    accelerator: str = ""
    #: the local versions that belong to the index; a wheel for Linux or Windows without one is a
    #: stale wheel of the root folder
    local_versions: tuple[str, ...] = ()
    #: glibc that its Linux wheels need at least; "" for what their tags say
    glibc: str = ""
    #: the subdirs that it can have wheels for; empty for any
    subdirs: tuple[str, ...] = ()

    def may_have(self, wish: str, subdir: str) -> bool:
        """Whether the index can have a wheel for a subdir and accelerator of feedstock.yaml."""
        return (not self.subdirs or subdir in self.subdirs) and may_be(self.accelerator, wish)

    def of(self, version: Version, platforms: Iterable[str]) -> str:
        """Return the claim of a wheel.

        Raises ValueError: it does not belong here; the message says why.
        """
        local = version.local
        if local is None:
            if self.local_versions and not all(p.startswith("macosx_") for p in platforms):
                msg = f"it has no local version, the index is for +{', +'.join(self._sorted())}"
                raise ValueError(msg)
            return self.accelerator
        if self.local_versions and local not in self.local_versions:
            msg = f"its local version is +{local}, the index is for +{', +'.join(self._sorted())}"
            raise ValueError(msg)
        said = accelerator_of_label(local)
        if said is None and local not in self.local_versions:
            raise ValueError(f"its local version +{local} names no accelerator")
        if said is None:
            return self.accelerator
        tegra = self.accelerator.endswith(_BOARD) and said != "cpu"
        claim = said + (_BOARD if tegra else "")
        if self.accelerator and not may_be(claim, self.accelerator):
            raise ValueError(f"its local version is +{local}, the index is for {self.accelerator}")
        return claim

    def _sorted(self) -> list[str]:
        return sorted(self.local_versions)


def claims_of(name: str, source: IndexSource) -> Claims:
    """Return how feedstock.yaml wants the wheels of an index understood.

    Raises FeedstockError: an index of kind pytorch whose URL does not end in an accelerator.
    """
    if source.kind != "pytorch":
        return Claims(
            accelerator=source.accelerator or "",
            local_versions=tuple(source.local_versions),
            glibc=source.glibc or "",
            subdirs=tuple(source.subdirs),
        )
    label = urlsplit(source.url or "").path.rstrip("/").rpartition("/")[2]
    every = label == EVERY_LINE
    accelerator = source.accelerator or ("cuda" if every else accelerator_of_label(label))
    if accelerator is None:
        raise FeedstockError(
            f"indexes.{name}: its url ends in {label!r}, which is no accelerator",
            where="feedstock.yaml",
            next_step="name one of the sub-indexes, https://download.pytorch.org/whl/cu130 for "
            "example, or say its accelerator and local_versions",
        )
    return Claims(
        accelerator=accelerator,
        local_versions=tuple(source.local_versions) or (() if every else (label,)),
        glibc=source.glibc or "",
        subdirs=tuple(source.subdirs) or (_PYTORCH_CPU if accelerator == "cpu" else _PYTORCH_CUDA),
    )


def may_be(claim: str, wish: str) -> bool:
    """Whether a wheel with a claim can be what is wished for; both may leave the CUDA line open.

    A wheel without a claim is for servers: nothing but its index says that it is for a Jetson.
    """
    if not claim:
        return not wish.endswith(_BOARD)
    board, line = claim.endswith(_BOARD), claim.removesuffix(_BOARD)
    wished_board, wished_line = wish.endswith(_BOARD), wish.removesuffix(_BOARD)
    if "cpu" in {line, wished_line}:
        return line == wished_line
    return board == wished_board and ("cuda" in {line, wished_line} or line == wished_line)

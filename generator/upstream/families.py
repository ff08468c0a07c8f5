"""Sub-indexes that are found and not listed by hand: ``https://download.pytorch.org/whl/cu*``.

Upstream's root page of a project lists the wheels of all sub-indexes (pytorch/test-infra,
s3_management/manage_v2.py, gen_file_list), so which CUDA lines there are for ARM stands there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from generator.documents import limits
from generator.errors import AbsentError, UnreachableError
from generator.upstream.claims import Claims
from generator.upstream.indexes import Index, SimpleIndex
from generator.upstream.offers import Offer
from generator.urls import public_url

STAR: Final = "*"
#: the sub-index of a wheel for ARM, by its link: ``/whl/cu130/torch-2.15.0%2Bcu130-...aarch64.whl``
_LINK: Final = re.compile(rb"/(cu[0-9]{3})/torch-[^/\"'<>#]*_(?:aarch64|arm64)\.whl")


@dataclass(frozen=True)
class Family:
    """Indexes of one kind below one address, with a star in the name and in the address."""

    name: str
    claims: Claims
    #: the index above them, whose page of a project lists the wheels of all
    above: SimpleIndex
    #: makes a member of its name and label
    make: Callable[[str, str], Index]
    _found: dict[str, Index] = field(default_factory=dict, repr=False, compare=False)
    _asked: list[bool] = field(default_factory=list, repr=False, compare=False)

    def members(self) -> tuple[Index, ...]:
        """Return the sub-indexes that have a torch for ARM now.

        Raises UnreachableError: what there is cannot be found out.
        """
        if not self._asked:
            try:
                content = self.above.page("torch").content
            except AbsentError as error:
                raise UnreachableError(
                    "no page says which sub-indexes there are",
                    where=error.where,
                    next_step="declare each of them by its own url",
                ) from error
            labels = sorted({match[1].decode() for match in _LINK.finditer(content)})
            if len(labels) > (most := limits().page.lines):
                raise UnreachableError(
                    f"its page names {len(labels)} CUDA lines, and {most} are asked at most",
                    where=public_url(self.above.url),
                    next_step="declare those that are wanted by their own url",
                )
            for label in labels:
                self._member(label)
            self._asked.append(True)
        return tuple(self._found[name] for name in sorted(self._found))

    def called(self, name: str) -> Index | None:
        """Return the member of a name, asked for or not; None for a name that is none's."""
        head, _, tail = self.name.partition(STAR)
        match = re.fullmatch(rf"{re.escape(head)}([0-9]{{3}}){re.escape(tail)}", name)
        return self._member(f"cu{match[1]}") if match else None

    def offers(self, project: str) -> tuple[Offer, ...]:
        """See `Index`: all members' offers."""
        return tuple(offer for index in self.members() for offer in index.offers(project))

    def _member(self, label: str) -> Index:
        name = self.name.replace(STAR, label.removeprefix("cu"))
        if name not in self._found:
            self._found[name] = self.make(name, label)
        return self._found[name]

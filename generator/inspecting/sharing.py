"""Proves that a package's wheel shares what the torch wheels of all Pythons share (design D2)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

from generator.inspecting.manifest import NAME, Manifest
from generator.inspecting.proof import Flaw
from generator.inspecting.read_wheel import RefusedError, Wheel, decode
from generator.upstream.equivalence import normalise


def check_shared(
    manifest: Manifest, record: Mapping[str, tuple[str, int]], wheel: Wheel | None
) -> Iterator[Flaw]:
    """Compute the digest of the shared rows of RECORD anew; with the wheel, the equivalence too."""
    if (shared := manifest.shared) is None:
        return
    apart = {*shared.per_python, *(row.member for row in shared.equivalent)}
    lines = "".join(
        f"{member},{decode(digest)},{size}\n"
        for member, (digest, size) in sorted(record.items())
        if member not in apart
    )
    if (found := hashlib.sha256(lines.encode()).hexdigest()) != shared.digest:
        what = f"shared.digest is {shared.digest}, and RECORD gives {found}"
        yield Flaw(NAME, what)
    for row in shared.equivalent if wheel is not None else ():
        try:
            content = wheel.read(row.member) if wheel is not None else b""
            found = hashlib.sha256(normalise(row.rule, content)).hexdigest()
        except (RefusedError, ValueError, KeyError) as error:
            yield Flaw(NAME, f"shared.equivalent, {row.member}: {error}")
            continue
        if found != row.normalised_sha256:
            what = f"differs from the other Pythons' by more than {row.rule} ignores"
            yield Flaw(NAME, f"shared.equivalent, {row.member}: {what}")

"""conda-smithy's file name for a variant config, which is also the end of a variant's id.

Source: conda-smithy, ``conda_smithy/configure_feedstock.py`` (2026.8), ``package_key`` and the
path limit below it; the names in conda-forge's feedstocks agree.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final

_DELETED: Final = str.maketrans("", "", '<>:?*,"/\\|')
#: Windows paths end at 259 characters. conda-smithy counts a runner's work folder before the name
#: and ``.yaml`` after it; armtorch's own line and package folders come between.
_LIMIT: Final = (
    259
    - len("C:/Users/runnerx/_work/armtorch/armtorch/.ci_support/")
    - len("metapackages/pytorch-mutex/")
    - len(".yaml")
)
_HASH: Final = 8


def stem(platform: str, config: Mapping[str, Sequence[str]], loop_keys: Sequence[str]) -> str:
    """Return conda-smithy's file name without ``.yaml``.

    ``loop_keys`` have more than one value on this platform; the first value of a key counts.

    >>> stem("linux_aarch64", {"python": ["3.12.* *_cpython"]}, ["python"])
    'linux_aarch64_python3.12.____cpython'
    >>> stem("linux_64", {}, [])
    'linux_64_'
    """
    keys = sorted(key for key in loop_keys if key != "target_platform")
    name = f"{platform}_" + "".join(f"{key}{config[key][0]}" for key in keys)
    name = name.replace("*", "_").replace(" ", "_").translate(_DELETED)
    if len(name) <= _LIMIT:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_HASH]
    return f"{name[: _LIMIT - _HASH - 2]}_h{digest}"

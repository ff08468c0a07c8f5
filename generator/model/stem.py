"""conda-smithy's file name for a variant config, which is also the end of a variant's id.

Source: conda-smithy, ``conda_smithy/configure_feedstock.py`` (2026.8): ``package_key``,
``_render_ci_provider`` and ``dump_subspace_config_files``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final

_DELETED: Final = str.maketrans("", "", '<>:?*,"/\\|')
#: longer names are cut to 40 characters and a hash
_LIMIT: Final = 49
_KEPT: Final = 40


def stem(platform: str, config: Mapping[str, Sequence[str]], loop_keys: Sequence[str]) -> str:
    """Return conda-smithy's file name without ``.yaml``.

    Args:
        platform: conda-smithy's spelling, ``linux_aarch64``.
        config: variant key -> values; the first value of a key goes into the name.
        loop_keys: the keys that have more than one value on this platform.

    >>> stem("linux_aarch64", {"python": ["3.12.* *_cpython"]}, ["python"])
    'linux_aarch64_python3.12.____cpython'
    >>> stem("linux_aarch64", {}, [])
    'linux_aarch64_'

    """
    keys = sorted(key for key in loop_keys if key != "target_platform")
    name = f"{platform}_" + "".join(f"{key}{config[key][0]}" for key in keys)
    name = name.replace("*", "_").replace(" ", "_").translate(_DELETED)
    if len(name) < _LIMIT:
        return name
    return f"{name[:_KEPT]}_h{hashlib.sha256(name.encode()).hexdigest()[:8]}"

"""Which params are seeds: runs that differ in one alone are repeats of one setting."""

from __future__ import annotations

import re

_SEED = re.compile(r"(?:^|[._/-])(?:[a-z]+_)?(?:seed|random_state)$", re.IGNORECASE)


def is_seed(param: str) -> bool:
    """Whether a param's name says that it is a seed: ``seed``, ``data.torch_seed``,
    ``random_state``."""
    return _SEED.search(param) is not None

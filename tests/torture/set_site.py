"""Run in every Python of a counter-proof: something that differs gets into the notebook.

``UNSTEADY`` says what: the order of a set, or the hour of the clock on the wall in 1970.
"""

import os
import time

from qualia_lab.notebook import generator

_names = generator.experiment_names


def _unsteady(runs: object) -> list[str]:
    names = [*_names(runs), *"abcdefgh"]  # type: ignore[arg-type]
    if os.environ["UNSTEADY"] == "set":
        return list(set(names))
    return [*names, time.strftime("%H:%M", time.localtime(0))]


generator.experiment_names = _unsteady

"""Conditions on runs that MLflow's own filters can't say, evaluated on whole columns.

    params.lr > 0.01 and (tags.team == "a" or metrics.val_loss < 0.3) and name.startswith("abl")

The text is parsed by Python's ``ast`` and walked (``walk.Walk``) by functions that know a few kinds
of node and refuse all others. Nothing of it is ever run as Python.
"""

from __future__ import annotations

import ast
import warnings
from typing import TYPE_CHECKING

from qualia_lab.errors import UsageError
from qualia_lab.text import visible
from qualia_lab.where.faults import HINT, refusal
from qualia_lab.where.walk import Walk

if TYPE_CHECKING:
    from qualia_lab.model import RunSet

_MOST_CHARACTERS = 5_000


class Where:
    """A condition on runs.

    The names are ``params``, ``metrics`` (their last values) and ``tags``, each as ``params.lr`` or
    ``params["odd name"]``, and what a run is: name, experiment, status, user, parent, source,
    commit, dataset, run_id, started, ended, duration. They are joined by ``and``, ``or``, ``not``
    and compared by ``< <= == != >= > in``, ``not in``, ``is None`` and ``is not None``.

    Params and tags are text; against a number, and by order, they count as the number that they
    spell. ``started`` and ``ended`` compare with dates, ``duration`` with seconds or ``"5m"``.
    ``name.startswith("a")``, ``.endswith``, ``.contains`` and ``.matches`` (a regular expression,
    anywhere in it) look into a text; ``best(metrics.loss)``, ``min``, ``max``, ``first``, ``last``
    look at all points of a metric; ``isnan(metrics.loss)``. A comparison with what a run does not
    have is false.

    Raises:
        UsageError: it is no such condition; the error points at the place.
    """

    def __init__(self, text: str) -> None:
        self.text = " ".join(text.split("\n")).strip()
        if len(self.text) > _MOST_CHARACTERS:
            raise UsageError(
                f"the condition has {len(self.text):,} characters, {_MOST_CHARACTERS:,} at most"
            )
        self._tree = _parsed(self.text)

    def matching(self, runs: RunSet) -> list[str]:
        """The ids of the runs that fulfil it, in their order.

        Raises:
            UsageError: it names a param, metric or tag that no run has, or compares what can't be.
        """
        try:
            found = Walk(self.text, runs).flags(self._tree)
        except RecursionError:
            raise UsageError("the condition is nested too deeply") from None
        return [str(run) for run in runs.runs.index[found]]


def _parsed(text: str) -> ast.expr:
    if not text:
        raise UsageError("the condition is empty", hint=HINT)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "\d" is a fine regular expression
            return ast.parse(text, mode="eval").body
    except SyntaxError as error:
        place = max(0, (error.offset or 1) - 1)
        # Python's own words speak of a program ("Perhaps you forgot a comma?").
        raise refusal(text, place, place + 1, "is no condition from here on") from None
    except (ValueError, RecursionError, MemoryError):
        raise UsageError(f"{visible(text, 60)} can't be read as a condition", hint=HINT) from None

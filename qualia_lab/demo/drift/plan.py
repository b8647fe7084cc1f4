"""What is planted, and where: pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

ROWS = 500
STRENGTHS = (0.0, 0.0, 0.25, 0.5, 0.75, 1.0)  # of the shifts, a window each
DAYS_A_WINDOW = 7

STREAM_ROWS, STREAM_CHANGE = 1600, 1000  # the first changed row counts from 0
MOVED_SHARE = 0.4  # of the images after the change
DAYS, CHANGE_DAY = 90, 45  # the first worse day counts from 0
VARIANCE_A_DAY = 0.16  # of the noise on each pixel (0 to 16): this much more every day of decline
EXAMPLES_A_DAY = 600

Kind = Literal["mean", "spread", "missing", "category"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """What happens to one column at full strength.

    ``size``: for "mean", what is added, in standard deviations of the column; for "spread", the
    factor by which values move away from their mean; for "missing" and "category", the share of
    rows that lose their value, or get the new category.
    """

    kind: Kind
    size: float


NEW_CATEGORY = "unmeasured"
# Four ways to shift; every other column of the tables is as it was.
SHIFTS: Mapping[str, Shift] = {
    "mean texture": Shift(kind="mean", size=0.5),
    "mean smoothness": Shift(kind="mean", size=0.5),
    "mean fractal dimension": Shift(kind="mean", size=-0.5),
    "mean symmetry": Shift(kind="spread", size=2.0),
    "mean concavity": Shift(kind="missing", size=0.10),
    "area band": Shift(kind="category", size=0.06),
}

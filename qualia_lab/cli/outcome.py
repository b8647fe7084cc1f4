"""What came of a notebook: its findings, their summary, and whether the command fails for them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qualia_lab.errors import FoundError, NotebookFailedError

if TYPE_CHECKING:
    from nbformat import NotebookNode

    from qualia_lab.model import RunSet, Selection
    from qualia_lab.notebook.execute import CellFailure

_MOST_NAMED = 3


def findings(notebook: NotebookNode, selection: Selection, runs: RunSet) -> list[dict[str, str]]:
    """What stands out: what is found in any runs, then what cells of the executed notebook show."""
    from qualia_lab.analysis.finding import findings as found_in_runs
    from qualia_lab.notebook.findings import shown_findings
    from qualia_lab.notebook.generator import judging

    rows = found_in_runs(*judging(selection, runs)).to_dict("records")
    of_runs = [{str(name): str(value) for name, value in row.items()} for row in rows]
    return [*of_runs, *(one for one in shown_findings(notebook) if one not in of_runs)]


def sum_up(
    notebook: NotebookNode, path: Path, found: list[dict[str, str]], *, overwrite: bool
) -> None:
    """Write the findings and the sections that they come from as Markdown."""
    from qualia_lab.notebook.export import export

    export(
        notebook,
        "markdown",
        path,
        summary=True,
        findings=found,
        overwrite=overwrite,
        flag="--summary",
    )


def judge(
    path: Path, failure: CellFailure | None, reached: list[dict[str, str]], fail_on: str | None
) -> None:
    """Raise for what makes the command fail though the notebook is written.

    Raises:
        NotebookFailedError: a cell raised, so that findings may be missing.
        FoundError: findings reached the level of ``--fail-on``.
    """
    if failure:
        raise NotebookFailedError(
            f"cell {failure.number} of {failure.of}, under “{failure.heading}”: {failure.error}",
            hint=f"The notebook is saved with what ran before: {path}",
        )
    if reached:
        named = "; ".join(one["what"] for one in reached[:_MOST_NAMED])
        more = f"; and {len(reached) - _MOST_NAMED:,} more" if len(reached) > _MOST_NAMED else ""
        noun = "finding" if len(reached) == 1 else "findings"
        raise FoundError(
            f"{len(reached):,} {noun} at or above {fail_on}: {named}{more}",
            hint=f"The notebook is saved, with the evidence: {path}",
        )

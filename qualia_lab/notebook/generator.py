"""From a selection and its runs to a notebook, the same bytes for the same input."""

from __future__ import annotations

import ast
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qualia_lab import __version__
from qualia_lab.analysis.labels import find_run, run_labels
from qualia_lab.directions import Direction, ranked
from qualia_lab.errors import TemplateError, TooFewRunsError, UsageError, known_list
from qualia_lab.manifest import FACTS, Cell, Kind, Section
from qualia_lab.model import Answer, RunSet, Selection
from qualia_lab.notebook import cells
from qualia_lab.notebook.catalogue import Catalogue
from qualia_lab.text import slug, visible, whole
from qualia_lab.tracking import selecting, uris

if TYPE_CHECKING:
    from nbformat import NotebookNode

# A notebook over more runs holds the query that gave them, rather than a page of ids.
_MOST_IDS = 500
_WAYS: Mapping[Answer, Direction] = {"min": "min", "max": "max"}
_MISSING = Section(file="_shared/missing")
_MORE = Section(file="_shared/more")
# Jupyter Book knows this tag; JupyterLab, VS Code and our pages go by the metadata.
_HIDDEN = "hide-input"
_HEADING = re.compile(r"^# ## ([^{\n]+)$", re.MULTILINE)
_KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSection:
    """One section of the plan: ``items`` are the runs, metrics or experiments it repeats for.

    ``left_out`` counts those past the section's limit; ``lacks`` names the facts that the data
    does not have, so that one cell stands in for the section.
    """

    section: Section
    items: tuple[Mapping[str, Any], ...]
    left_out: int = 0
    lacks: tuple[str, ...] = ()


class NotebookGenerator:
    """Writes notebooks of the kinds in a catalogue."""

    def __init__(self, catalogue: Catalogue | None = None) -> None:
        self.catalogue = catalogue or Catalogue()

    def plan(self, selection: Selection, runs: RunSet) -> list[PlannedSection]:
        """What the notebook will hold, in order.

        Raises:
            TooFewRunsError: fewer runs than the kind needs.
            UsageError: an unknown kind or section.
        """
        kind = self.catalogue.kind(selection.kind)
        require_enough(kind, runs)
        judged, metric = judging(selection, runs)
        return [
            _planned(section, judged, metric)
            for section in chosen(kind, selection.sections, selection.also)
        ]

    def generate(self, selection: Selection, runs: RunSet) -> NotebookNode:
        """The notebook, valid nbformat 4.5.

        Raises:
            QualiaError: as ``plan``, and ``TemplateError`` for a fault in a section file.
        """
        import nbformat

        kind = self.catalogue.kind(selection.kind)
        common = _context(kind, selection, runs)
        plan = self.plan(selection, runs)
        lacking = [planned for planned in plan if planned.lacks]
        written: list[Cell] = []
        for planned in plan:
            if not planned.lacks:
                written += self._cells(kind, planned, common)
            elif planned is lacking[-1]:
                written += self._missing(kind, lacking, common)
        notebook = nbformat.v4.new_notebook(
            cells=[_node(cell) for cell in written],
            metadata={
                "kernelspec": dict(_KERNEL),
                "language_info": {"name": "python"},
                "qualia_lab": _recipe(kind, selection, runs),
            },
        )
        nbformat.validate(notebook)
        return notebook

    def _cells(
        self, kind: Kind, planned: PlannedSection, common: Mapping[str, Any]
    ) -> Iterator[Cell]:
        section = planned.section
        for item in planned.items:
            prefix = f"{section.name}-{item['key']}" if item else section.name
            yield from self._rendered(kind, section, prefix, {**common, **item})
        if planned.left_out:
            context = {
                **common,
                "heading": self._heading(kind, section),
                "shown": len(planned.items),
                "left_out": planned.left_out,
                "noun": section.for_each,
            }
            yield from self._rendered(kind, _MORE, f"{section.name}-more", context)

    def _missing(
        self, kind: Kind, lacking: Sequence[PlannedSection], common: Mapping[str, Any]
    ) -> Iterator[Cell]:
        """One cell for all sections that this data can't fill, in the place of the last of them:
        a heading each would bury what is there. Those that lack the same are said together."""
        headings: dict[tuple[str, ...], list[str]] = {}
        for planned in lacking:
            headings.setdefault(planned.lacks, []).append(self._heading(kind, planned.section))
        absent = [
            {
                "headings": names,
                "facts": [{"missing": FACTS[one].missing, "how": FACTS[one].how} for one in lacks],
            }
            for lacks, names in headings.items()
        ]
        yield from self._rendered(kind, _MISSING, "missing", {**common, "absent": absent})

    def _heading(self, kind: Kind, section: Section) -> str:
        """What the section is called in the notebook; its name where that is made of values."""
        written = _HEADING.search(self.catalogue.source(kind, section.file))
        return written[1] if written else section.name.replace("_", " ").capitalize()

    def _rendered(
        self, kind: Kind, section: Section, prefix: str, context: Mapping[str, Any]
    ) -> Iterator[Cell]:
        where = section.file + ".py.j2"
        templates = cells.split(self.catalogue.source(kind, section.file), where)
        for number, template in enumerate(templates, 1):
            source = whole(cells.render(template, context, where))
            if template.type == "code":
                try:
                    ast.parse(source)
                except SyntaxError as error:  # the encoders make this impossible; never write it
                    raise TemplateError(f"{where}: rendered to invalid Python: {error}") from error
            yield Cell(
                id=f"{slug(prefix, 'cell')[:58].replace('.', '-')}-{number}",
                type=template.type,
                source=source,
                tags=template.tags,
                section=section.file,
            )


def judging(selection: Selection, runs: RunSet) -> tuple[RunSet, str | None]:
    """The runs, told which end of the metric is better, and the metric that they rank by."""
    metric = selection.parameters.get("metric")
    ranked_by = metric if isinstance(metric, str) else None
    return runs.judging(ranked_by, _WAYS.get(selection.parameters.get("direction"))), ranked_by


def require_enough(kind: Kind, runs: RunSet) -> None:
    """Raise ``TooFewRunsError`` where the kind needs more runs."""
    if len(runs) < kind.min_runs:
        raise TooFewRunsError(
            f"a notebook of kind {kind.name} needs {kind.min_runs} runs; {len(runs)} selected"
        )


def chosen(kind: Kind, names: tuple[str, ...], also: tuple[str, ...] = ()) -> list[Section]:
    """The sections of a kind that are asked for, with the fixed ones.

    By default all that are not optional; ``also`` adds optional ones.
    """
    known = [section.name for section in kind.sections]
    for name in (*names, *also):
        if name not in known:
            raise UsageError(
                f"kind {kind.name} has no section {visible(name, 60)}",
                hint=known_list(name, known),
            )
    return [
        one
        for one in kind.sections
        if one.fixed or one.name in (*names, *also) or not (names or one.optional)
    ]


def answers(
    kind: Kind, given: Mapping[str, Answer], runs: RunSet, metric: str | None = None
) -> dict[str, Answer]:
    """An answer for each question of the kind: as given, else its default for this data.

    A ``metric`` is the first choice among metrics.

    Raises:
        UsageError: an answer to a question that the kind does not ask, or one that is no choice.
        NotFoundError: a run that is not among these, or a name that several have.
    """
    require_known(kind, given)
    found: dict[str, Answer] = {}
    for parameter in kind.parameters:
        name = parameter.name
        choices = options(parameter.choices, runs)
        if name not in given:
            first = metric if metric in (choices or ()) else next(iter(choices or ()), None)
            found[name] = first if parameter.default == "first" else parameter.default
        elif parameter.choices == "runs":
            found[name] = find_run(runs, str(given[name]))
        elif choices is not None and given[name] not in choices:
            raise UsageError(
                f"param {name}: {visible(str(given[name]), 60)} is no choice",
                hint=known_list(str(given[name]), choices),
            )
        else:
            found[name] = given[name]
    return found


def require_known(kind: Kind, given: Iterable[str]) -> None:
    """Raise ``UsageError`` for an answer to a question that the kind does not ask."""
    known = [parameter.name for parameter in kind.parameters]
    for name in given:
        if name not in known:
            raise UsageError(
                f"kind {kind.name} has no param {visible(name, 60)}", hint=known_list(name, known)
            )


def options(choices: str | tuple[str, ...] | None, runs: RunSet) -> list[str] | None:
    """The choices of a question for this data; None for free text."""
    if choices == "metrics":
        return ranked_metrics(runs)
    if choices == "params":
        return [str(name) for name in runs.params.columns]
    if choices == "runs":
        return [str(run_id) for run_id in runs.runs.index]
    return None if choices is None else list(choices)


def ranked_metrics(runs: RunSet) -> list[str]:
    """The metrics of the runs, those that tell runs apart best first."""
    counts = runs.logged.sum(axis=0)
    return ranked({str(name): int(count) for name, count in counts.items()})


def _planned(section: Section, runs: RunSet, metric: str | None) -> PlannedSection:
    lacks = tuple(fact for fact in section.needs if not runs.has(fact))
    if lacks or section.for_each is None:
        return PlannedSection(section=section, items=() if lacks else ({},), lacks=lacks)
    if section.for_each == "run" and section.most is not None and len(runs) > section.most:
        from qualia_lab.analysis.values import best_order

        # Of 100,000 runs, what is repeated for all of them would take more than they do.
        best = [str(one) for one in best_order(runs, metric)[: section.most]]
        items = _runs(best, runs)
        return PlannedSection(section=section, items=tuple(items), left_out=len(runs) - len(items))
    items = _items(section.for_each, runs)
    shown = items[: section.most]
    return PlannedSection(section=section, items=tuple(shown), left_out=len(items) - len(shown))


def _runs(run_ids: Sequence[str], runs: RunSet) -> list[dict[str, Any]]:
    keys, labels = _keys(run_ids), run_labels(runs)
    names, statuses = runs.runs["name"], runs.runs["status"]
    return [
        {
            "key": keys[run_id],
            "run": {
                "run_id": run_id,
                "name": names[run_id] or run_id,
                "label": labels[run_id],
                "status": statuses[run_id],
            },
        }
        for run_id in run_ids
    ]


def _items(loop: str, runs: RunSet) -> list[dict[str, Any]]:
    """What a section repeats for; ``key`` makes the ids of its cells."""
    if loop == "run":
        return _runs([str(one) for one in runs.runs.index], runs)
    if loop == "metric":
        return [{"key": _digest(name)[:12], "metric": name} for name in ranked_metrics(runs)]
    pairs = runs.runs[["experiment_id", "experiment"]].drop_duplicates()
    return [
        {"key": slug(one), "experiment": {"experiment_id": one, "name": name}}
        for one, name in zip(pairs["experiment_id"], pairs["experiment"], strict=True)
    ]


def _keys(run_ids: Sequence[str]) -> dict[str, str]:
    """A short key a run: how its id begins, where no other begins so; servers choose ids."""
    starts = Counter(run_id[:12] for run_id in run_ids)
    return {
        run_id: run_id[:12]
        if run_id.isascii() and run_id.isalnum() and starts[run_id[:12]] == 1
        else _digest(run_id)
        for run_id in run_ids
    }


def _context(kind: Kind, selection: Selection, runs: RunSet) -> dict[str, Any]:
    """What every section can use. ``parameters`` becomes the cell that Papermill reruns."""
    newest = runs.newest
    experiments = experiment_names(runs)
    return {
        "kind": {"name": kind.name, "title": kind.title, "summary": kind.summary},
        "title": selection.title or f"{kind.title}: {', '.join(experiments)}",
        "parameters": {
            "tracking_uri": uris.for_notebook(selection.tracking_uri, selection.output.parent),
            "run_ids": _wanted(selection, runs),
            **_parameters(kind, selection),
        },
        "experiments": experiments,
        "n_runs": len(runs),
        "of_runs": selection.of_runs,
        "newest": "" if newest is None else f"{newest:%Y-%m-%d %H:%M:%S} UTC",
        "version": __version__,
    }


def _parameters(kind: Kind, selection: Selection) -> dict[str, Answer]:
    """The answers, paths from the notebook's folder."""
    paths = {parameter.name for parameter in kind.parameters if parameter.path}
    return {
        name: uris.path_for_notebook(answer, selection.output.parent)
        if name in paths and isinstance(answer, str)
        else answer
        for name, answer in selection.parameters.items()
    }


def experiment_names(runs: RunSet) -> list[str]:
    """The experiments of the runs; where there is none, those that they were looked for in."""
    return list(dict.fromkeys(runs.runs["experiment"])) or list(runs.experiments.values())


def _wanted(selection: Selection, runs: RunSet) -> list[str] | dict[str, Any]:
    """The runs by id, or by the query that gave them where there are too many to list."""
    if selection.query is None or 0 < len(runs) <= _MOST_IDS:
        return list(runs.runs.index)
    return selecting.plain_query(selection.query, runs)


def _recipe(kind: Kind, selection: Selection, runs: RunSet) -> dict[str, Any]:
    """What made the notebook, in its metadata: enough to make it again."""
    recipe = {
        "version": __version__,
        "kind": selection.kind,
        "title": selection.title,
        "parameters": _parameters(kind, selection),
        "selection": {
            "tracking_uri": uris.for_notebook(selection.tracking_uri, selection.output.parent),
            "experiments": list(selection.experiments),
            "run_ids": _wanted(selection, runs),
            "of_runs": selection.of_runs,
            "sections": list(selection.sections),
            "also": list(selection.also),
        },
    }
    return {key: _encodable(value) for key, value in recipe.items()}


def _encodable(value: Any) -> Any:
    """A plain value whose texts can be written as UTF-8; what a person types need not be."""
    if isinstance(value, str):
        return whole(value)
    if isinstance(value, Mapping):
        return {key: _encodable(one) for key, one in value.items()}
    return [_encodable(one) for one in value] if isinstance(value, list) else value


def _node(cell: Cell) -> NotebookNode:
    """As ``nbformat.v4`` makes them, but checked once, all together."""
    import nbformat

    metadata: dict[str, Any] = {
        "qualia_lab": {"section": cell.section, "hash": _digest(cell.source)}
    }
    if cell.tags:
        metadata["tags"] = list(cell.tags)
    if _HIDDEN in cell.tags:
        metadata["jupyter"] = {"source_hidden": True}
    made: dict[str, Any] = {"execution_count": None, "outputs": []} if cell.type == "code" else {}
    made |= {"id": cell.id, "cell_type": cell.type, "metadata": metadata, "source": cell.source}
    return nbformat.from_dict(made)


def is_edited(notebook: Mapping[str, Any]) -> bool:
    """Whether a person changed, added or removed a cell since it was generated."""
    if "qualia_lab" not in notebook.get("metadata", {}):
        return True
    made = [cell.get("metadata", {}).get("qualia_lab", {}) for cell in notebook["cells"]]
    return any(
        own.get("hash") != _digest(cell["source"])
        for own, cell in zip(made, notebook["cells"], strict=True)
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]

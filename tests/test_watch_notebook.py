"""The sections over time in a notebook that runs, and what the command makes of their findings."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from cases import CASES, write_case
from commands import assert_refused, command
from conftest import HOSTILE, ROOT
from nbformat import NotebookNode
from stores import T0, Run, curve, fill, run_id

from qualia_lab import ArtifactExplorer, NotebookGenerator, analysis
from qualia_lab.analysis import Finding, Found, Parts
from qualia_lab.analysis.found import FINDINGS_TYPE
from qualia_lab.analysis.samples import Sample, Samples
from qualia_lab.analysis.show import Figure, Note, Points
from qualia_lab.errors import UsageError
from qualia_lab.model import Query, RunSet, Selection
from qualia_lab.notebook.catalogue import Catalogue
from qualia_lab.notebook.execute import execute
from qualia_lab.notebook.findings import headline, reached, shown_findings
from qualia_lab.notebook.generator import answers

NAN, INF = float("nan"), float("inf")
DAY = 86_400_000
SECTIONS = ("samples", "performance_over_time", "concept_drift", "alerts", "what_to_do", "schedule")
KIND = """
title    = "Over time"
summary  = "Whether it still holds."
min_runs = 1

[parameters.metric]
ask     = "Metric to watch"
choices = "metrics"
default = "first"

[parameters.direction]
ask       = "Which end is better"
choices   = ["min", "max"]
at_prompt = false

[parameters.baseline_part]
ask     = "The share of the runs, the first ones, that is the baseline"
default = 0.3

[parameters.current_part]
ask     = "The share of the runs, the last ones, that counts as now"
default = 0.2

[parameters.false_alarms]
ask     = "The share of checks in which an alarm may be false"
default = 0.05

[parameters.reference]
ask       = "What to compare with"
at_prompt = false

[parameters.current]
ask       = "What is compared with it"
at_prompt = false

[parameters.table]
ask       = "The table of both"
at_prompt = false

[parameters.predictions]
ask       = "A table of labels and predictions that runs logged"
at_prompt = false

[parameters.label]
ask     = "Its column of labels"
default = "label"

[parameters.prediction]
ask     = "Its column of predictions"
default = "prediction"
"""
FIXED = ("_shared/title", "_shared/setup", "_shared/parameters", "loading")


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue with a kind of these sections alone."""
    folder = tmp_path_factory.mktemp("templates")
    (folder / "watch").mkdir()
    fixed = [f'[[section]]\nfile = "{name}"\nfixed = true\n' for name in FIXED]
    own = [f'[[section]]\nfile = "_shared/{name}"\n' for name in SECTIONS]
    (folder / "watch" / "kind.toml").write_text("\n".join([KIND, *fixed, *own]))
    shutil.copy(ROOT / "templates/observation/loading.py.j2", folder / "watch")
    return folder


def daily(values: Sequence[float], metric: str = "accuracy", **more: Sequence[float]) -> list[Run]:
    """A run a day with one value, or several, of metrics."""
    every = {metric: values, **more}
    return [
        Run(
            run_id=run_id(i),
            name=f"day-{i:02}",
            started=T0 + i * DAY,
            ended=T0 + i * DAY + 60_000,
            metrics={name: [(0, T0 + i * DAY, one[i])] for name, one in every.items()},
        )
        for i in range(len(values))
    ]


def planted(days: int = 90, since: int = 45, lost: float = 0.03) -> list[Run]:
    """An accuracy that declines slowly from a day on, and a control that does not."""
    random = np.random.default_rng(0)
    decline = np.clip(np.arange(days) - since, 0, None) / (days - 1 - since) * lost
    accuracy = 0.92 - decline + 0.004 * random.standard_normal(days)
    control = 0.8 + 0.004 * random.standard_normal(days)
    return daily(accuracy.tolist(), control_auc=control.tolist())


def load(store: Path, runs: Sequence[Run]) -> RunSet:
    fill(store, runs)
    return ArtifactExplorer(f"sqlite:///{store}").load(Query(experiment_ids=("1",)))


def generated(templates: Path, store: Path, **given: object) -> NotebookNode:
    explorer = ArtifactExplorer("sqlite:///mlflow.db")
    runs = explorer.load(Query(experiment_ids=("1",)))
    generator = NotebookGenerator(Catalogue([templates]))
    kind = generator.catalogue.kind("watch")
    selection = Selection(
        tracking_uri=explorer.tracking_uri,
        run_ids=tuple(runs.runs.index),
        of_runs=len(runs),
        kind="watch",
        parameters=answers(kind, given, runs),  # type: ignore[arg-type]
        output=Path("notebook.ipynb"),
    )
    notebook = generator.generate(selection, runs)
    nbformat.validate(notebook)
    assert execute(notebook, store.parent) is None
    nbformat.validate(notebook)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            assert output.get("name") != "stderr", output.get("text")
    return notebook


@pytest.mark.parametrize("case", CASES)
def test_the_sections_run_on_every_case(
    case: str, templates: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_case(case, empty_store)
    monkeypatch.chdir(empty_store.parent)
    notebook = generated(templates, empty_store)
    levels = {one["level"] for one in shown_findings(notebook)}
    assert levels == {"note"}


def test_a_planted_decline_is_an_alarm_and_a_notebook_that_says_so(
    templates: Path, empty_store: Path, tmp_path: Path
) -> None:
    fill(empty_store, planted(), name="drift")
    args = ["--tracking-uri", "sqlite:///mlflow.db", "--experiment", "drift", "--all"]
    args += ["--templates", str(templates), "--trust", "--kind", "watch", "-o", "w.ipynb"]

    done = command(
        *args, "--fail-on", "alarm", "--summary", "s.md", "--json", cwd=empty_store.parent
    )

    assert done.code == 9, done.err
    record = json.loads(done.out)
    assert (record["fail_on"], record["reached"], record["executed"]) == ("alarm", 1, True)
    (alarm,) = [one for one in record["findings"] if one["level"] == "alarm"]
    assert alarm["what"].startswith("accuracy is worse gradually, since about 2025-11-2")
    assert "control_auc" not in json.dumps(record["findings"])
    assert "Error: 1 finding at or above alarm: accuracy is worse" in done.err
    notebook = nbformat.read(empty_store.parent / "w.ipynb", as_version=4)
    assert shown_findings(notebook) == record["findings"]
    text = (empty_store.parent / "s.md").read_text()
    assert text.startswith("# Over time: drift\n")
    assert "Findings: 1 alarm, " in text
    assert "| alarm | accuracy is worse gradually" in text
    assert "## What to do" in text
    assert "## Alerts" in text
    assert "## Schedule" not in text
    assert "--fail-on alarm --summary s.md" in done.err

    again = command(*args, "--overwrite", "--param", "metric=control_auc", "--fail-on", "alarm",
                    cwd=empty_store.parent)  # fmt: skip
    assert again.code == 0, again.err
    # Of a metric that nobody chose a change is a warning.
    args = [*args, "--overwrite", "--param", "metric=control_auc", "--fail-on", "warning"]
    assert command(*args, cwd=empty_store.parent).code == 9


def test_a_store_without_a_change_passes(templates: Path, empty_store: Path) -> None:
    fill(empty_store, planted(lost=0.0), name="calm")
    args = ["--tracking-uri", "sqlite:///mlflow.db", "--experiment", "calm", "--all"]
    args += ["--templates", str(templates), "--trust", "--kind", "watch", "-o", "w.ipynb"]
    done = command(*args, "--fail-on", "warning", "--json", cwd=empty_store.parent)
    assert done.code == 0, done.err
    record = json.loads(done.out)
    assert [one for one in record["findings"] if one["level"] != "note"] == []
    assert record["reached"] == 0


def test_a_kind_without_sections_of_its_own_has_levels_too(empty_store: Path) -> None:
    runs = [
        Run(run_id=run_id(0), name="good", metrics={"loss": curve([1.0, 0.5])}),
        Run(run_id=run_id(1), name="bad", metrics={"loss": curve([1.0, NAN])}),
        Run(run_id=run_id(2), name="ugly", status="FAILED", metrics={"loss": curve([1.0])}),
    ]
    fill(empty_store, runs)
    args = ["--tracking-uri", "sqlite:///mlflow.db", "--all", "-o", "n.ipynb"]
    done = command(
        *args, "--fail-on", "warning", "--json", "--summary", "s.md", cwd=empty_store.parent
    )
    assert done.code == 9, done.err
    record = json.loads(done.out)
    levels = {one["what"]: one["level"] for one in record["findings"]}
    assert levels["bad diverged"] == levels["ugly failed"] == "warning"
    assert record["reached"] == 2
    text = (empty_store.parent / "s.md").read_text()
    assert "## At a glance" in text
    assert "Findings: 2 warnings" in text
    args = [*args, "--overwrite"]
    assert command(*args, "--fail-on", "alarm", cwd=empty_store.parent).code == 0


def test_a_cell_that_fails_is_told_before_findings(templates: Path, empty_store: Path) -> None:
    fill(empty_store, planted())
    args = [
        "--tracking-uri",
        "sqlite:///mlflow.db",
        "--all",
        "--templates",
        str(templates),
        "--trust",
    ]
    args += ["--kind", "watch", "-o", "w.ipynb", "--param", "false_alarms=2", "--fail-on", "alarm"]
    done = command(*args, cwd=empty_store.parent)
    assert done.code == 8
    assert "false_alarms 2 is no rate" in done.err
    assert (empty_store.parent / "w.ipynb").exists()


@pytest.mark.parametrize(
    ("flags", "code", "word"),
    [
        (["--fail-on", "error"], 2, "known: alarm, warning"),
        (["--fail-on", "alarm", "--no-execute"], 2, "--fail-on goes without --no-execute"),
        (["--summary", "s.md", "--no-execute"], 2, "--summary goes without --no-execute"),
        (["--summary", "there.md"], 7, "there.md exists"),
    ],
)
def test_flags_that_make_no_sense_are_refused_before_anything_is_written(
    flags: list[str], code: int, word: str, empty_store: Path
) -> None:
    fill(empty_store, planted(days=12, since=4))
    (empty_store.parent / "there.md").write_text("mine")
    args = ["--tracking-uri", "sqlite:///mlflow.db", "--all", "-o", "n.ipynb"]
    assert_refused(command(*args, *flags, cwd=empty_store.parent), code, word)
    assert not (empty_store.parent / "n.ipynb").exists()


def test_findings_leave_the_notebook_once_and_only_as_findings() -> None:
    one = Finding(severity="error", level="alarm", what="a", evidence="b")
    data = Found([one])._repr_mimebundle_()
    forged = [{"level": "alarm"}, "x", {**data[FINDINGS_TYPE][0], "level": "worst"}]
    cells = [
        nbformat.v4.new_code_cell(
            outputs=[nbformat.v4.new_output("display_data", {FINDINGS_TYPE: value})]
        )
        for value in (data[FINDINGS_TYPE], data[FINDINGS_TYPE], forged, "no list", None)
    ]
    found = shown_findings(nbformat.v4.new_notebook(cells=cells))
    assert found == [
        {"severity": "error", "level": "alarm", "run": "", "what": "a", "evidence": "b"}
    ]
    assert reached(found, "warning") == found
    assert reached([{**found[0], "level": "warning"}], "alarm") == []


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_finding_stays_text(name: str) -> None:
    found = Found([Finding(severity="error", level="alarm", what=name, evidence=name)])
    text = found._repr_mimebundle_()["text/markdown"]
    assert "\n" not in text
    for active in ("<", "[", "](", "`", "$", "{{"):
        assert active not in text.removeprefix("- **")
    row = headline([{"level": "alarm", "what": name, "evidence": name}]).splitlines()[-1]
    assert row.count("|") == 4


def test_long_evidence_is_not_cut() -> None:
    evidence = "; ".join(f"part {place} of what was found is here" for place in range(40))
    one = Finding(severity="error", level="alarm", what="much", evidence=evidence)
    text = Found([one])._repr_mimebundle_()["text/markdown"]
    row = headline([{"level": "alarm", "what": "much", "evidence": evidence}])
    assert "part 39 of" in text
    assert "part 39 of" in row
    assert "characters" not in text + row


def test_many_findings_are_counted() -> None:
    many = [{"level": "warning", "what": f"w{i}", "evidence": "e"} for i in range(30)]
    text = headline([*many, {"level": "alarm", "what": "first", "evidence": "e"}])
    assert text.splitlines()[0] == "**Findings: 1 alarm, 30 warnings.**"
    assert text.splitlines()[4].startswith("| alarm | first")
    assert text.endswith("11 more are in the notebook.")
    assert headline([]) == "**Findings: none.**"


# --- what the sections say ------------------------------------------------------------------------


def test_the_table_has_the_worst_first(empty_store: Path) -> None:
    table = analysis.performance_table(load(empty_store, planted()))
    assert list(table.index) == ["accuracy", "control_auc"]
    assert table["verdict"].tolist() == ["worse", "no change seen"]
    row = table.loc["accuracy"]
    low, high = (float(one) for one in row["baseline 95 %"].split(" to "))
    assert low < 0.92 < high
    assert row["current"] < 0.905
    assert row["shape"] == "gradual"
    assert "2025-11-1" < row["since (UTC)"] < "2025-12-03"  # planted: 2025-11-23
    assert float(row["slope 95 %"].split(" to ")[1]) < 0
    assert len(row["since (UTC)"]) == len("2025-11-23 08:53")
    assert table.loc["control_auc", "since (UTC)"] == ""


def test_what_is_not_judged_is_left_blank(empty_store: Path) -> None:
    table = analysis.performance_table(load(empty_store, daily([1.0, 0.0, 1.0, 1.0])))
    row = table.loc["accuracy"]
    assert (row["verdict"], row["values"]) == ("too few values", 4)
    assert row[["baseline", "current", "change", "slope a day"]].isna().all()
    assert set(row[["baseline 95 %", "current 95 %", "slope 95 %"]]) == {""}


def test_the_first_look_has_the_performance_and_the_gravest_first(empty_store: Path) -> None:
    same = pd.DataFrame({"x": np.random.default_rng(0).normal(size=500)})
    calm = [Sample(name=one, short=one, frame=same) for one in "rc"]
    samples = Samples(reference=calm[0], current=calm[1], told=())
    runs = load(empty_store, planted())
    first = analysis.drift_first_look(samples, runs, "accuracy")
    assert isinstance(first, Points)
    words, said = zip(*first.points, strict=True)
    assert words[:2] == ("Performance", "Answer")
    assert "0.919" in said[0]
    assert "worse, 2.5%" in said[0]
    assert words.count("What to do") == 1
    assert said[-1] == dict(analysis.what_to_do(runs, "accuracy").notes[:1])["Do"]
    well = repr(analysis.drift_first_look(samples, runs, "control_auc"))
    assert "Performance: no change seen of control_auc: " in well
    assert "What to do: nothing about this data" in well
    assert "no run logged a metric" in repr(analysis.drift_first_look(samples, runs, None))
    assert "(the residuals) correlates by" in repr(analysis.performance_note(runs, "accuracy"))
    alone = repr(analysis.drift_first_look(Note("none"), runs, "accuracy"))
    assert "Performance: " in alone
    assert "Data: There are no two samples" in alone


def logged(store: Path, tables: dict[str, str]) -> RunSet:
    """One run with files, all of them tables."""
    runs = planted(60)
    folder = store.parent / "artifacts" / runs[0].run_id / "artifacts"
    folder.mkdir(parents=True)
    for name, text in tables.items():
        (folder / name).write_text(text)
    return load(store, runs)


def test_a_table_with_labels_and_predictions_is_found(empty_store: Path) -> None:
    rows = "label,prediction\n" + "a,a\nb,b\n" * 200 + "a,b\n" * 200
    runs = logged(
        empty_store,
        {"predictions.csv": rows, "predict.csv": "label,said\n1,2\n", "predictions_2.csv": rows},
    )
    errors = analysis.logged_errors(runs, None, "label", "prediction")
    assert errors is not None
    assert errors.attrs["table"] == "predictions.csv"
    assert len(errors) == 600
    said = analysis.concept_drift_note(runs, "accuracy", errors).text
    assert "errors of 600 predictions in predictions.csv, 0 or 1 each" in said
    assert "predictions_2.csv would do, too." in said
    assert analysis.logged_errors(runs, None, "label", "nope") is None


def test_without_such_a_table_the_flag_and_the_tables_are_named(empty_store: Path) -> None:
    runs = logged(empty_store, {"predict.csv": "label,said\n1,2\n", "x.csv": "a\n1\n"})
    assert analysis.logged_errors(runs, None, "label", "prediction") is None
    said = analysis.concept_drift_note(runs, "control_auc", None).text
    assert "for want of a table of predictions" in said
    assert "--param predictions=PATH" in said
    assert "These runs logged predict.csv, x.csv." in said
    assert "In so short a stream, 60 values" in said


def test_a_sudden_change_names_the_run_before_which_it_came(empty_store: Path) -> None:
    random = np.random.default_rng(1)
    values = 0.5 + 0.01 * random.standard_normal(60) + 0.08 * (np.arange(60) >= 40)
    runs = load(empty_store, daily(values.tolist(), "loss"))
    found = analysis.what_to_do(runs, "loss")
    assert [one.level for one in found.findings] == ["alarm"]
    assert "loss is worse since 2025-11-18" in found.findings[0].what
    assert "at day-40 (2025-11-18" in dict(found.notes)["Do"]
    text = str(analysis.performance_note(runs, "loss"))
    assert "Sudden or gradual: sudden: a step fits better than a ramp" in text


def test_another_commit_at_a_sudden_change_is_told(empty_store: Path) -> None:
    random = np.random.default_rng(1)
    values = 0.5 + 0.01 * random.standard_normal(60) + 0.08 * (np.arange(60) >= 40)
    made = daily(values.tolist(), "loss")
    for place, run in enumerate(made):
        run.tags = {"mlflow.source.git.commit": "a" * 40 if place < 40 else "b" * 40}
    text = dict(analysis.what_to_do(load(empty_store, made), "loss").notes)["Do"]
    assert text.endswith("a run of another commit than the one before.")


def test_nothing_found_says_how_small_a_change_would_have_been_seen(empty_store: Path) -> None:
    found = analysis.what_to_do(load(empty_store, planted(lost=0.0)), "accuracy")
    notes = dict(found.notes)
    assert found.findings == []
    assert notes["Do"].startswith("nothing: accuracy is at 0.9")
    assert "80 % of cases" in notes["Would be seen"]
    assert repr(found).startswith("Nothing found")


def test_an_odd_value_is_a_warning_and_names_its_run(empty_store: Path) -> None:
    values = 0.9 + 0.01 * np.random.default_rng(2).standard_normal(60)
    values[50] -= 0.12
    runs = load(empty_store, daily(values.tolist()))
    found = analysis.what_to_do(runs, "accuracy")
    assert [one.level for one in found.findings] == ["warning"]
    assert found.findings[0].what.startswith("accuracy has a value beyond its limits at day-50")
    assert "level has not been shown to move" in dict(found.notes)["Do"]
    assert "values are not normal" in str(analysis.alert_note(runs, "accuracy"))


def test_every_rule_shows_its_false_alarms(empty_store: Path) -> None:
    runs = load(empty_store, planted())
    table = analysis.alert_table(runs, "accuracy")
    assert not isinstance(table, Note)
    assert list(table.index) == ["change point", "3 sigma", "in a row", "CUSUM", "modified z"]
    vain = table["false alarms"].str.rstrip("%").astype(float)
    assert (vain <= 1.0).all()
    habit = table["false alarms by habit"].str.rstrip("%").astype(float)
    assert habit["in a row"] > 80
    assert table.loc["CUSUM", "fires"]
    assert table.loc["CUSUM", "since (UTC)"] > "2025-11-23"
    strict = analysis.alert_table(runs, "accuracy", Parts(false_alarms=0.005))
    assert not isinstance(strict, Note)
    assert strict.loc["3 sigma", "calibrated"] > table.loc["3 sigma", "calibrated"]


def test_a_table_of_predictions_is_a_stream_of_errors(
    templates: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(0)
    runs = planted(days=12, since=4, lost=0.0)
    for place, run in enumerate(runs):
        folder = empty_store.parent / "artifacts" / run.run_id / "artifacts" / "eval"
        folder.mkdir(parents=True)
        wrong = random.random(300) < (0.1 if place < 6 else 0.3)
        rows = [["cat", "dog" if one else "cat"] for one in wrong]
        content = {"columns": ["label", "prediction"], "data": rows}
        (folder / "predictions.json").write_text(json.dumps(content))
    fill(empty_store, runs)
    monkeypatch.chdir(empty_store.parent)
    notebook = generated(templates, empty_store, predictions="eval/predictions.json")
    (alarm,) = [one for one in shown_findings(notebook) if one["level"] == "alarm"]
    assert alarm["what"].startswith("errors rise along the stream")
    found = re.search(r"at about value ([\d,]+), seen at value ([\d,]+)", alarm["evidence"])
    assert found is not None
    start, place = (int(one.replace(",", "")) for one in found.groups())
    assert 1700 <= start <= 1900  # planted: 1800
    assert place > 1800


def test_errors_that_fell_again_are_a_warning(empty_store: Path) -> None:
    made = np.random.default_rng(0)
    rates = np.repeat([0.1, 0.3, 0.1], [2000, 1500, 1000])
    errors = pd.Series((made.random(4500) < rates) * 1.0)
    runs = load(empty_store, planted(days=12, since=4, lost=0.0))
    levels = {
        one.what.split()[1]: one.level
        for one in analysis.watch_findings(runs, "accuracy", errors=errors)
    }
    assert levels == {"rise": "warning", "fall": "note"}
    risen = analysis.watch_findings(runs, "accuracy", errors=errors[:3500])
    assert [one.level for one in risen] == ["alarm"]


def test_the_points_of_one_run_are_watched_where_it_is_alone(empty_store: Path) -> None:
    random = np.random.default_rng(0)
    values = 0.5 + 0.01 * random.standard_normal(200) + 0.05 * (np.arange(200) >= 120)
    run = Run(run_id=run_id(0), name="served", metrics={"loss": curve(values.tolist())})
    found = analysis.watch_findings(load(empty_store, [run]), "loss")
    assert [one.level for one in found] == ["alarm"]
    assert "loss is worse since 2025-10-09 08:55:20" in found[0].what


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([], "None of these runs logged a metric"),
        ([0.9, 0.8, 0.7], "3 runs with a finite accuracy"),
        ([0.9] * 30, "one value throughout"),
        ([NAN] * 30, "30 not finite"),
        ([INF, NAN, 1.797e308] * 10, "30 not finite"),
    ],
)
def test_what_can_not_be_judged_says_why(values: list[float], says: str, empty_store: Path) -> None:
    runs = load(empty_store, daily(values))
    metric = "accuracy" if values else None
    assert says in str(analysis.performance_note(runs, metric))
    assert isinstance(analysis.alert_table(runs, metric), Note)
    assert isinstance(analysis.concept_drift_chart(runs, metric), Note)
    assert {one.level for one in analysis.watch_findings(runs, metric)} <= {"note"}


@pytest.mark.parametrize(
    "values",
    [
        [1e149, -1e149, 5e-324, 0.0, INF, NAN, 1.797e308] * 5,
        [5e-324, 0.0] * 15,
        [0.9] * 15 + [0.8] * 15,
        [0.95] * 20 + [0.96] + [0.95] * 9,
        [0.0, 1.0] * 20,
        [0.9 + 0.001 * i for i in range(9)] + [1e140] + [0.9, 0.91] * 10,
    ],
    ids=["mixed", "tiny", "step", "almost constant", "rates", "an outlier"],
)
@pytest.mark.parametrize("apart", [0, 1, DAY])
def test_any_values_at_any_times_are_shown(
    values: list[float], apart: int, empty_store: Path
) -> None:
    made = daily(values)
    for place, run in enumerate(made):
        run.started = T0 + place * apart
    runs = load(empty_store, made)
    for function in (
        analysis.performance_note, analysis.performance_chart, analysis.alert_note,
        analysis.alert_table, analysis.concept_drift_note, analysis.concept_drift_table,
        analysis.concept_drift_chart, analysis.what_to_do,
    ):  # fmt: skip
        shown = function(runs, "accuracy")
        assert "nan standard" not in repr(shown)
        if isinstance(shown, Figure):
            assert len(shown.png()) > 1000


def test_clocks_that_are_wrong_and_runs_that_failed_are_counted(empty_store: Path) -> None:
    made = planted(days=40, since=20, lost=0.0)
    made[0].started, made[1].started, made[2].started = 0, 2**61, None
    made[3].status, made[4].started = "FAILED", made[5].started
    text = str(analysis.performance_note(load(empty_store, made), "accuracy"))
    assert "36 runs" in text
    assert "3 without a time of the years 1980 to 2199" in text
    assert "1 not finished" in text
    assert "1 at the time of another" in text


def test_points_by_the_hundred_thousand_are_watched_in_blocks(empty_store: Path) -> None:
    values = np.random.default_rng(0).normal(0.5, 0.01, 200_000)
    run = Run(run_id=run_id(0), name="long", metrics={"loss": curve(values.tolist())})
    runs = load(empty_store, [run])
    text = str(analysis.performance_note(runs, "loss"))
    assert "about 200,000 points of long, averaged by 100" in text
    assert isinstance(analysis.performance_chart(runs, "loss"), Figure)


@pytest.mark.parametrize("parts", [(0.0, 0.2), (0.9, 0.2), (NAN, 0.2), (0.3, -1.0)])
def test_parts_that_are_none_are_refused(parts: tuple[float, float]) -> None:
    with pytest.raises(UsageError, match="no parts of a series"):
        Parts(baseline=parts[0], current=parts[1])

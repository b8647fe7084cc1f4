"""The tables of runs, and which two of them are compared."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import mlflow
import nbformat
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import HOSTILE
from stores import T0, Run, curve, fill, run_id

from qualia_lab import ArtifactExplorer, NotebookGenerator, analysis
from qualia_lab.analysis.drift_windows import Grid, grid
from qualia_lab.analysis.samples import NoSamples, Samples
from qualia_lab.errors import NotAllowedError, NotFoundError, QualiaError, UsageError
from qualia_lab.model import Query, RunSet, Selection
from qualia_lab.notebook.execute import execute
from qualia_lab.notebook.findings import shown_findings
from qualia_lab.notebook.generator import answers
from qualia_lab.table_files import frame
from qualia_lab.tracking.artifacts import input_content

DAY = 86_400_000
Files = dict[str, bytes | str]


def load(store: Path, files: list[Files], **more: Any) -> RunSet:
    """A run a day for each set of files, called ``r0``, ``r1``, ...; ``noted`` paths are tagged."""
    noted = more.get("noted", [])
    tag = json.dumps([{"path": path, "type": "table"} for path in noted])
    runs = [
        Run(
            run_id=run_id(number),
            name=f"r{number}",
            started=T0 + number * DAY,
            tags={"mlflow.loggedArtifacts": tag} if noted else {},
            metrics=more.get("metrics", lambda _: {})(number),
            params=more.get("params", lambda _: {})(number),
        )
        for number in range(len(files))
    ]
    for run, mine in zip(runs, files, strict=True):
        for path, content in mine.items():
            target = store.parent / "artifacts" / run.run_id / "artifacts" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.encode() if isinstance(content, str) else content)
    fill(store, runs)
    return ArtifactExplorer(f"sqlite:///{store}").load(Query(experiment_ids=("1",)))


def split(columns: list[Any], data: list[Any]) -> str:
    """As ``mlflow.log_table`` writes it."""
    return json.dumps({"columns": columns, "data": data})


def parquet(table: pa.Table, **how: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **how)
    return buffer.getvalue()


X = "x\n1\n2\n"


def chosen(runs: RunSet, *asked: str | None) -> tuple[str, str]:
    """What was compared with what, without the times."""
    found = analysis.two_samples(runs, *asked)
    assert isinstance(found, Samples), found
    return found.reference.name.partition(",")[0], found.current.name.partition(",")[0]


# --- tables --------------------------------------------------------------------------------------


def test_tables_are_found_and_read_whole(empty_store: Path) -> None:
    data = pa.table({"a": [1, 2], "s": ["x", None]})
    runs = load(
        empty_store,
        [{"b.csv": "x,y\n1,\n2,z\n", "m.pkl": b"\x80", "t/a.json": split(["q"], [[None], [0.5]])},
         {"b.csv": X, "c.parquet": parquet(data)}],
    )  # fmt: skip
    known = runs.tables()
    assert known[["run_id", "path"]].to_numpy().tolist() == [
        [run_id(0), "b.csv"], [run_id(0), "t/a.json"], [run_id(1), "b.csv"],
        [run_id(1), "c.parquet"],
    ]  # fmt: skip
    assert set(known["source"]) == {"artifact"}
    assert known.attrs["left out"] == []
    assert runs.table("t/a.json", run_id(0))["q"].dtype == "float64"
    both = runs.table("b.csv")
    assert both["run_id"].tolist() == [run_id(0)] * 2 + [run_id(1)] * 2
    assert both["x"].tolist() == [1, 2, 1, 2]
    pd.testing.assert_frame_equal(runs.table("c.parquet", run_id(1)), data.to_pandas())
    with pytest.raises(NotFoundError, match=r"no run has a table nope.csv"):
        runs.table("nope.csv")
    with pytest.raises(QualiaError, match=r"m.pkl is not opened"):
        runs.table("m.pkl", run_id(0))


@pytest.mark.filterwarnings("ignore")  # MLflow's own, of pandas 4 and of data sources
def test_a_table_that_mlflow_appended_to_is_one(tmp_path: Path, empty_store: Path) -> None:
    mlflow.set_tracking_uri(f"sqlite:///{empty_store}")
    folder = mlflow.create_experiment("own", artifact_location=str(tmp_path / "own"))
    local = tmp_path / "train.csv"
    rows = pd.DataFrame({"a": [1.5, float("nan")], "t": pd.to_datetime(["2025-01-01"] * 2)})
    rows.to_csv(local, index=False)
    with mlflow.start_run(experiment_id=folder):
        mlflow.log_table(rows, "t.json")
        mlflow.log_table(rows, "t.json")
        mlflow.log_input(mlflow.data.from_pandas(rows, source=str(local), name="train"))
        mlflow.log_input(mlflow.data.from_pandas(rows, name="from code"))
    runs = ArtifactExplorer(f"sqlite:///{empty_store}").load(Query())
    known = runs.tables()
    assert known[["path", "noted", "source"]].to_numpy().tolist() == [
        ["t.json", True, "artifact"], ["train", False, "input"],
    ]  # fmt: skip
    assert runs.table("t.json")["a"].tolist()[::2] == [1.5, 1.5]
    assert len(runs.table("train", str(runs.runs.index[0]))) == 2
    assert runs.has("two_samples")


def test_a_local_file_is_read_for_a_local_store_alone(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text(X)
    source = json.dumps({"uri": str(file)})
    assert input_content("sqlite:///mlflow.db", source, 100) == X.encode()
    assert input_content("sqlite:///mlflow.db", json.dumps({"uri": file.as_uri()}), 100)
    with pytest.raises(NotAllowedError, match="the server names a file of this machine"):
        input_content("http://127.0.0.1:5000", source, 100)
    with pytest.raises(QualiaError, match="at most 3 are read"):
        input_content("sqlite:///mlflow.db", source, 3)
    (tmp_path / "link.csv").symlink_to(file)
    (tmp_path / "secret").write_text("x")
    for uri in ("s3://b/x.csv", "http://h/x.csv", str(tmp_path / "secret"), "link.csv", 5, None):
        uri = str(tmp_path / "link.csv") if uri == "link.csv" else uri
        with pytest.raises(NotAllowedError):
            input_content("sqlite:///mlflow.db", json.dumps({"uri": uri}), 100)


def test_of_many_runs_the_ends_are_listed_and_all_notes_count(empty_store: Path) -> None:
    runs = load(empty_store, [{"t.json": split(["x"], [[1]]), "u.csv": X}] * 60, noted=["t.json"])
    known = runs.tables()
    assert (known["path"] == "t.json").sum() == 60
    assert known.loc[known["path"] == "u.csv", "run_id"].tolist() == [
        run_id(number) for number in (*range(25), *range(35, 60))
    ]
    assert known.attrs["left out"] == ["files of 10 of 60 runs not looked at"]


def test_a_noted_table_that_is_gone_is_none(empty_store: Path) -> None:
    runs = load(empty_store, [{"u.csv": X}], noted=["t.json"])
    assert runs.tables()["path"].tolist() == ["u.csv"]


def test_names_of_columns_are_text_and_each_once() -> None:
    found = frame("t.json", split(["a", "a", 5, None, "\ud800", *HOSTILE], [[1] * 24]).encode())
    assert list(found.columns[:5]) == ["a", "a (2)", "5", "null", "\ufffd"]
    table = pa.Table.from_pandas(pd.DataFrame({"a": [1.0]}, index=[7]))
    assert list(frame("t.parquet", parquet(table)).columns) == ["a"]


def test_cells_that_no_column_holds_stay_objects() -> None:
    cells = [[10**30, "\ud800", [1], None], [1.5, "b", {"k": 2}, None]]
    found = frame("t.json", split(["n", "s", "l", "e"], cells).encode())
    assert found["s"].tolist() == ["\ufffd", "b"]
    assert found["l"].tolist() == [[1], {"k": 2}]
    assert frame("t.csv", b"a,b\n").shape == (0, 2)


@pytest.mark.parametrize(
    ("text", "names", "values"),
    [
        ("a,b;c\n1,2\n", ["a", "b;c"], [1, 2]),
        ("a;b\r\n1;2,5\r\n", ["a", "b"], [1, "2,5"]),
        ("\ufeffa\tb\n1\t2\n", ["a", "b"], [1, 2]),
        ("a\n1\n", ["a"], [1]),
    ],
)
def test_what_stands_between_the_columns_is_seen_in_their_names(
    text: str, names: list[str], values: list[object]
) -> None:
    found = frame("t.csv", text.encode())
    assert list(found.columns) == names
    assert found.iloc[0].tolist() == values


def test_a_parquet_file_that_would_grow_too_large_is_not_unpacked() -> None:
    wide = pa.table({str(one): pa.array(np.zeros(1_000_000)) for one in range(130)})
    bomb = parquet(wide, compression="gzip", use_dictionary=False)
    assert len(bomb) < 3_000_000
    with pytest.raises(ValueError, match="unpacked it has 1,0"):
        frame("t.parquet", bomb)


# --- what is compared ----------------------------------------------------------------------------


def test_two_tables_of_one_run_whose_names_say_it(empty_store: Path) -> None:
    runs = load(
        empty_store,
        [{"reference.csv": X, "current.csv": X}, {"data/baseline.csv": X, "data/prod.csv": X},
         {"other.csv": X}],
    )  # fmt: skip
    assert chosen(runs) == ("data/baseline.csv of r1", "data/prod.csv of r1")
    said = repr(analysis.two_samples(runs))
    assert "Reference: data/baseline.csv of r1, 2025-10-10 08:53, 2 rows." in said
    assert "Not used: " in said
    assert "other.csv" in said


@pytest.mark.parametrize(
    ("reference", "current"),
    [("train", "test"), ("train_features", "live_features"), ("expected", "latest"),
     ("Reference-2024", "current 2025")],
)  # fmt: skip
def test_words_in_names_count_wherever_they_stand(
    reference: str, current: str, empty_store: Path
) -> None:
    mine: Files = {f"{reference}.csv": X, f"{current}.csv": X, "trained_on.csv": X}
    assert chosen(load(empty_store, [mine])) == (f"{reference}.csv of r0", f"{current}.csv of r0")


def test_a_reference_of_the_past_and_a_series_of_current_tables(empty_store: Path) -> None:
    runs = load(empty_store, [{"reference.csv": X, "current.csv": X}, *[{"current.csv": X}] * 40])
    assert chosen(runs) == ("reference.csv of r0", "current.csv of r40")
    found = analysis.two_samples(runs)
    assert isinstance(found, Samples)
    assert "24 of 40 tables, drawn as windows" in repr(found)
    windows = list(found.between())
    assert (len(windows), windows[0].short, windows[-1].short) == (24, "r0", "r39")


def test_a_series_within_one_run_ends_with_the_current_one(empty_store: Path) -> None:
    weeks: Files = {f"current_week{number}.csv": X for number in (1, 2, 3)}
    runs = load(empty_store, [{"reference.csv": X, **weeks}])
    assert chosen(runs) == ("reference.csv of r0", "current_week3.csv of r0")
    found = analysis.two_samples(runs)
    assert isinstance(found, Samples)
    assert len(list(found.between())) == 2


def test_a_table_of_several_runs_is_compared_over_time(empty_store: Path) -> None:
    runs = load(
        empty_store, [{"rows.csv": X, "report.json": "{}"}] * 3 + [{"report.json": "{}"}] * 2
    )
    assert chosen(runs) == ("rows.csv of r0", "rows.csv of r2")
    assert "3 runs logged it: the oldest against the newest" in repr(analysis.two_samples(runs))


def test_what_is_asked_for_is_taken(empty_store: Path) -> None:
    files: list[Files] = [{"reference.csv": X, "current.csv": X, "x.csv": X} for _ in range(3)]
    runs = load(empty_store, files)
    assert chosen(runs, "r0:x.csv", "r1:current.csv") == ("x.csv of r0", "current.csv of r1")
    assert chosen(runs, "r0") == ("reference.csv of r0", "current.csv of r0")
    assert chosen(runs, None, "r1") == ("reference.csv of r1", "current.csv of r1")
    assert chosen(runs, "x.csv", "x.csv") == ("x.csv of r0", "x.csv of r2")
    assert chosen(runs, None, None, "x.csv") == ("x.csv of r0", "x.csv of r2")
    assert chosen(runs, "r0", "r2", "x.csv") == ("x.csv of r0", "x.csv of r2")
    assert chosen(runs, run_id(1)[:8] + ":x.csv", "r2") == ("x.csv of r1", "current.csv of r2")
    with pytest.raises(NotFoundError, match=r"no run has a table nope.csv"):
        analysis.two_samples(runs, "r0:nope.csv")
    with pytest.raises(NotFoundError, match="no run nobody"):
        analysis.two_samples(runs, "nobody")
    with pytest.raises(NotFoundError, match=r"no run has a table nope.csv"):
        analysis.two_samples(runs, table="nope.csv")


def test_a_table_that_is_named_is_honoured_or_refused(empty_store: Path) -> None:
    files: Files = {
        f"{name}.{end}": X for name in ("reference", "current") for end in ("csv", "a.csv")
    }
    runs = load(empty_store, [files, {"else.csv": X}])
    both = ("reference.csv of r0", "current.csv of r0")
    assert chosen(runs, "r0:reference.csv", None, "current.csv") == both
    assert chosen(runs, None, "r0:current.csv", "reference.csv") == both
    assert chosen(runs, "reference.csv", None, "current.a.csv")[1] == "current.a.csv of r0"
    assert chosen(runs, None, None, "current.csv") == both
    assert chosen(runs, None, None, "reference.csv") == both
    assert chosen(runs, "r0:reference.csv") == both, "of the same words"
    assert "what goes with it by its name" in repr(analysis.two_samples(runs, table="current.csv"))
    with pytest.raises(UsageError, match=r"else.csv is not used: reference and current name"):
        analysis.two_samples(runs, "reference.csv", "current.csv", "else.csv")
    with pytest.raises(NotFoundError, match=r"one run alone has else.csv"):
        analysis.two_samples(runs.only([run_id(1)]), table="else.csv")


def test_formats_of_one_table_are_no_windows(empty_store: Path) -> None:
    table = split(["x"], [[1], [2]])
    both: Files = {"reference.json": table, "current.csv": X, "current.json": table}
    runs = load(empty_store, [both], noted=["current.json", "reference.json"])
    found = analysis.two_samples(runs)
    assert isinstance(found, Samples)
    assert chosen(runs) == ("reference.json of r0", "current.json of r0")
    assert list(found.between()) == []


def test_tables_of_several_runs_with_the_columns_of_the_reference_are_windows(
    empty_store: Path,
) -> None:
    weeks: list[Files] = [{"week.csv": X, "other.csv": "y\n1\n"} for _ in range(3)]
    more: list[Files] = [{"other.csv": "y\n1\n"}, {"reference.csv": X, "current.csv": X}]
    runs = load(empty_store, [*weeks, *more, {"week.csv": X}])
    found = analysis.two_samples(runs)
    assert isinstance(found, Samples)
    assert [one.name.partition(",")[0] for one in found.between()] == [
        f"week.csv of r{number}" for number in (0, 1, 2, 5)
    ]
    assert "Windows: week.csv of 4 runs, which has the columns of the reference" in repr(found)
    made = grid(found)
    assert isinstance(made, Grid)
    assert made.windows == ("r0", "r1", "r2", "r4", "r5"), "by time, the current table among them"


def test_without_tables_earlier_runs_are_compared_with_later_ones(empty_store: Path) -> None:
    draw = np.random.default_rng(0)
    runs = load(
        empty_store,
        [{}] * 60,
        metrics=lambda n: {"loss": curve([draw.normal(n >= 30)]), "f1": curve([draw.normal()])},
        params=lambda n: {"lr": str(0.1 * (n % 3)), "seed": str(n)},
    )
    found = analysis.two_samples(runs)
    assert isinstance(found, Samples)
    assert found.of == "runs"
    assert len(found.reference.frame) == len(found.current.frame) == 30
    assert list(found.current.frame.columns) == ["metric f1", "metric loss"]
    table = analysis.data_drift(found)
    assert isinstance(table, pd.DataFrame)
    assert table["verdict"].tolist()[0].startswith("drifted")
    assert table.index[0] == "metric loss"
    asked = analysis.two_samples(runs, "metrics.loss < 0.5", "metrics.loss >= 0.5")
    assert isinstance(asked, Samples)
    assert "as asked for, by conditions on runs" in repr(asked)
    assert "param lr" in asked.current.frame.columns, "somebody asked for these runs"
    with pytest.raises(UsageError, match=r"the table x.csv is not used"):
        analysis.two_samples(runs, "metrics.loss < 0.5", "metrics.loss >= 0.5", "x.csv")
    with pytest.raises(UsageError, match="needs another one"):
        analysis.two_samples(runs, "metrics.loss < 0.5")


def test_where_there_is_nothing_it_says_where_it_looked_and_how_to_log(empty_store: Path) -> None:
    runs = load(empty_store, [{"only.csv": X}, {"else.csv": X}])
    found = analysis.two_samples(runs)
    assert isinstance(found, NoSamples)
    for text in ("2 tables were found, none of which goes with another: only.csv, else.csv",
                 'mlflow.log_table(frame, "reference.json")'):  # fmt: skip
        assert text in found.text
    assert found.current.frame.empty
    none = analysis.two_samples(runs.only([]))
    assert isinstance(none, NoSamples)
    assert "Looked for: CSV, Parquet and mlflow.log_table's JSON" in none.text


def test_a_table_that_can_not_be_read_is_said(empty_store: Path) -> None:
    runs = load(empty_store, [{"reference.csv": b"a,b\n1\n", "current.csv": X}])
    found = analysis.two_samples(runs)
    assert isinstance(found, NoSamples)
    assert "reference.csv can't be read as a table: row 1 has 1 values for 2 columns" in found.text


# --- the fact, and the notebook ------------------------------------------------------------------


def test_whether_there_are_samples_costs_ten_listings_at_most(
    empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = load(empty_store, [{"t.csv": X}, *[{}] * 30])
    asked: list[str] = []
    listing = runs.source.artifacts
    monkeypatch.setattr(
        runs.source, "artifacts", lambda run: (asked.append(run), listing(run))[1], raising=False
    )
    assert not runs.has("two_samples")
    assert len(asked) == 10
    assert runs.has("two_samples") or len(asked) == 10, "what was listed is kept"
    assert runs.only([run_id(0)]).has("two_samples")


def notebook(
    store: Path, runs: RunSet, folder: Path, **given: str
) -> tuple[nbformat.NotebookNode, str]:
    """The executed notebook, and all that its cells show as text."""
    generator = NotebookGenerator()
    selection = Selection(
        tracking_uri=f"sqlite:///{store}",
        run_ids=tuple(runs.runs.index),
        kind="drift",
        parameters=answers(generator.catalogue.kind("drift"), given, runs),
        output=folder / "n.ipynb",
    )
    made = generator.generate(selection, runs)
    assert execute(made, folder) is None
    outputs = [one for cell in made.cells for one in cell.get("outputs", [])]
    assert not any(one.output_type == "error" or one.get("name") == "stderr" for one in outputs)
    return made, "\n".join(str(one.get("data", {}).get("text/plain", "")) for one in outputs)


def test_the_notebook_runs_on_tables_and_its_findings_can_be_read(
    empty_store: Path, tmp_path: Path
) -> None:
    draw = np.random.default_rng(0)

    def rows(shift: float) -> str:
        values = np.column_stack([draw.normal(0, 1, 500), draw.normal(shift, 1, 500)])
        return split(["stays", "moves"], values.tolist())

    files: list[Files] = [{"reference.json": rows(0), "current.json": rows(0)}]
    files += [{"current.json": rows(shift)} for shift in (0.3, 0.9)]
    runs = load(empty_store, files)
    made, said = notebook(empty_store, runs, tmp_path)
    assert "1 of 2 features drifted: moves." in said
    assert {one["what"]: one["level"] for one in shown_findings(made)}["moves drifted, much"] == (
        "alarm"
    )
    assert sum("image/png" in one.get("data", {}) for cell in made.cells
               for one in cell.get("outputs", [])) == 3  # fmt: skip
    _, clean = notebook(empty_store, runs, tmp_path, current="r0:current.json")
    assert "no drift found: none of 2 features drifted" in clean


def test_the_notebook_runs_on_hostile_columns_and_on_tables_that_do_not_go_together(
    empty_store: Path, tmp_path: Path
) -> None:
    names = [*HOSTILE, "a", "a"]
    data = [[*HOSTILE, number % 5, None] for number in range(100)]
    other = [[*HOSTILE[::-1], None, 1.5] for _ in range(80)]
    runs = load(
        empty_store,
        [{"x.csv": X, "<b>/reference $x$.json": split(names, data),
          "<b>/current \u202e.json": split(names, other)}],
    )  # fmt: skip
    _, said = notebook(empty_store, runs, tmp_path)
    assert "features drifted" in said
    lonely = runs.only([run_id(0)])
    _, none = notebook(empty_store, lonely, tmp_path, reference="r0:x.csv", current="r0:x.csv")
    assert "none of 1 features drifted" in none

"""Spans and assessments: as MLflow wrote them, from all readers; and texts that are odd."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from stores import T0, Run, fill, run_id
from traced import Span, Traced, read, write

from qualia_lab import ArtifactExplorer, RunSet
from qualia_lab.analysis.calls import spending
from qualia_lab.model import Query
from qualia_lab.tracking import spans, told
from qualia_lab.tracking.client import ClientReader

USAGE, COST, MODEL = "mlflow.chat.tokenUsage", "mlflow.llm.cost", "mlflow.llm.model"
INPUTS = "mlflow.spanInputs"


@pytest.fixture
def store(empty_store: Path) -> Path:
    fill(empty_store, [Run(run_id=run_id(0))])
    return empty_store


# --- all readers ---------------------------------------------------------------------------------


TRACING = (
    """
import sys
import mlflow
from mlflow.entities import AssessmentError, AssessmentSource, Expectation, Feedback

uri, experiment = sys.argv[1:]
mlflow.set_tracking_uri(uri)
mlflow.set_experiment(experiment)
usage = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
cached = {**usage, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 1}
calls = [
    ("plain text", {USAGE: cached, MODEL: "gpt-4o", "mlflow.llm.provider": "openai"}),
    ({"messages": [{"content": "it's"}]}, {USAGE: usage, MODEL: "x", COST: {"total_cost": 0.25}}),
    (None, {USAGE: usage, MODEL: 'odd "model"'}),
    (3, {}),
]
with mlflow.start_span("agent") as root:
    root.set_inputs({"q": "why? \u00e9\U0001f600"})
    mlflow.update_current_trace(tags={"team": "a"}, metadata={"mlflow.trace.user": "ann"})
    for number, (inputs, attributes) in enumerate(calls):
        with mlflow.start_span(f"call {number}", span_type="LLM") as span:
            span.set_inputs(inputs)
            span.set_attributes(attributes)
            span.set_outputs("because")
    try:
        with mlflow.start_span("broken"):
            raise TimeoutError("too slow")
    except TimeoutError:
        pass
source = AssessmentSource(source_type="LLM_JUDGE", source_id="judge")
cost = {"mlflow.assessment.judgeCost": "0.5"}
error = AssessmentError(error_code="E", error_message="m")
for one in (
    Feedback(name="quality", value=4.5, source=source, span_id=root.span_id),
    Feedback(name="safe", value=True, source=source, metadata=cost),
    Feedback(name="fine", value="yes", source=source),
    Feedback(name="said", value="a\u202eb", source=source),
    Feedback(name="several", value={"a": [1, 2]}, source=source),
    Feedback(name="failed", error=error, source=source),
    Expectation(name="expected", value="Paris"),
):
    mlflow.log_assessment(root.trace_id, one)
""".replace("USAGE", repr(USAGE))
    .replace("MODEL", repr(MODEL))
    .replace("COST", repr(COST))
)


def run(code: str, *words: str, folder: Path) -> None:
    """A program of its own, since tracing is set up once a process."""
    environment = {**os.environ, "MLFLOW_ENABLE_ASYNC_TRACE_LOGGING": "false"}
    subprocess.run(
        [sys.executable, "-c", code, *words],
        check=True,
        capture_output=True,
        cwd=folder,
        env=environment,
    )


def trace_something(uri: str, experiment: str, folder: Path) -> str:
    """A trace of every shape, through MLflow itself; the id of its experiment."""
    run(TRACING, uri, experiment, folder=folder)
    return ArtifactExplorer(uri).experiment(experiment).experiment_id


def loaded(uri: str, experiment_id: str, *, by_client: bool = False) -> RunSet:
    explorer = ArtifactExplorer(uri)
    if by_client:
        explorer.__dict__.update(_reader=ClientReader(explorer.tracking_uri), _note="")
        assert explorer.experiments()
    return explorer.load(Query(experiment_ids=(experiment_id,)))


def test_all_readers_give_the_same(server: str, tmp_path: Path) -> None:
    experiment_id = trace_something(server, "spans of every shape", tmp_path)
    over_http = loaded(server, experiment_id)
    by_client = loaded(server, experiment_id, by_client=True)
    found = over_http.spans()
    assert len(found) == 6
    assert found["error"].dropna().tolist() == ["TimeoutError"]
    by_name = found.set_index("name")
    assert by_name.loc["call 0", "cache_read_tokens"] == 5
    assert by_name.loc["call 1", "cost"] == 0.25
    assert by_name.loc["call 2", "model"] == 'odd "model"'
    assert by_name.loc["call 0", "inputs"] == '"plain text"'
    assert over_http.trace_tags().to_numpy().tolist()[0][1:] == ["team", "a"]
    assert len(over_http.assessments()) == 7
    assert over_http.assessments()["judge_cost"].sum() == 0.5
    assert over_http.assessments()["error"].dropna().tolist() == ["E: m"]
    assert pd.isna(by_name.loc["call 3", "inputs"]), "only of spans with tokens or a cost"
    assert by_name["parent_id"].isna().sum() == 1
    for name in ("traces", "trace_tags", "spans", "assessments"):
        assert_frame_equal(getattr(over_http, name)(), getattr(by_client, name)(), obj=name)


def test_sql_gives_the_same_as_mlflows_client(migrated: Path, tmp_path: Path) -> None:
    path = shutil.copy(migrated, tmp_path / "mlflow.db")
    experiment_id = trace_something(f"sqlite:///{path}", "spans", tmp_path)
    sql = loaded(f"sqlite:///{path}", experiment_id)
    client = loaded(f"sqlite:///{path}", experiment_id, by_client=True)
    assert len(sql.spans()) == 6
    for name in ("traces", "trace_tags", "spans", "assessments"):
        assert_frame_equal(getattr(sql, name)(), getattr(client, name)(), obj=name)


def test_what_mlflow_says_of_traces_in_its_own_demo(migrated: Path, tmp_path: Path) -> None:
    """Data that was not made here: MLflow's demo, read by SQL and by its own client."""
    path = shutil.copy(migrated, tmp_path / "mlflow.db")
    uri = f"sqlite:///{path}"
    code = (
        f"import mlflow; mlflow.set_tracking_uri({uri!r});"
        "from mlflow.demo import generate_all_demos; generate_all_demos()"
    )
    run(code, folder=tmp_path)
    (experiment,) = [
        one for one in ArtifactExplorer(uri).experiments() if one.name == "MLflow Demo"
    ]
    sql = loaded(uri, experiment.experiment_id)
    client = loaded(uri, experiment.experiment_id, by_client=True)
    assert len(sql.assessments()) > 100
    for name in ("traces", "trace_tags", "spans", "assessments"):
        assert_frame_equal(getattr(sql, name)(), getattr(client, name)(), obj=name)
    # What MLflow summed for whole traces is what the spans hold, when it logs at once.
    found = spending(sql)
    assert found.own["cost"].sum() == pytest.approx(sql.traces()["cost"].sum())
    assert found.differing == 0


# --- two ways to parse ---------------------------------------------------------------------------

NUMBERS = st.one_of(
    st.integers(-(2**64), 2**64), st.floats(), st.booleans(), st.none(), st.just("7"), st.just(7.0)
)
USAGES = st.dictionaries(st.sampled_from([*spans.TOKENS.values(), "other"]), NUMBERS, max_size=4)
COSTS = st.fixed_dictionaries({}, optional={"total_cost": NUMBERS})
TEXTS = st.one_of(
    st.builds(json.dumps, st.one_of(USAGES, COSTS)),
    st.sampled_from(["", "null", "[]", "{", "{}", '"x"', "{}{}", '{"total_cost": 1} 2', "\n{}"]),
)
ATTRIBUTES = st.fixed_dictionaries(
    {},
    optional={
        USAGE: TEXTS,
        COST: TEXTS,
        MODEL: st.sampled_from(['"m"', "m", '"a\\"b"', "", '"', "null", "[1]"]),
        INPUTS: st.text(max_size=5),
        "other": st.one_of(st.text(max_size=3), st.just({"a": 1})),
    },
)


def row(attributes: dict[str, Any], number: int, status: str, text: str | None) -> dict[str, Any]:
    content = json.dumps({"attributes": attributes, "events": [{"name": "x"}]})
    return {
        "trace_id": "t",
        "span_id": f"s{number}",
        "parent_id": "" if number % 2 else "s0",
        "name": "",
        "type": "LLM",
        "status": status,
        "started": number,
        "ended": -1 if number % 3 else number,
        "content": content if text is None else text,
    }


@settings(deadline=None)
@given(st.lists(st.tuples(ATTRIBUTES, st.sampled_from(["OK", "UNSET", "ERROR"])), max_size=4))
def test_parsed_at_once_is_parsed_one_by_one(given_: list[tuple[dict[str, Any], str]]) -> None:
    """Each row alone too: where one row makes all of them be read one by one, others may not."""
    rows = [row(attributes, i, status, None) for i, (attributes, status) in enumerate(given_)]
    for several in [rows, *([one] for one in rows)]:
        stored = pa.Table.from_pylist(several, schema=SCHEMA)
        quick = spans.frame(spans.parsed(stored))
        slow = spans.frame(spans.together([spans._one_by_one(stored)]))
        assert_frame_equal(quick, slow)


SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("trace_id", "span_id", "parent_id", "name", "type")),
        ("status", pa.string()),
        ("started", pa.int64()),
        ("ended", pa.int64()),
        ("content", pa.string()),
    ]
)


def test_most_rows_are_parsed_at_once() -> None:
    """So that the property above is one of two ways."""
    rows = [row({USAGE: '{"input_tokens": 1}', MODEL: '"m"'}, i, "OK", None) for i in range(3)]
    quick = spans._at_once(pa.Table.from_pylist(rows, schema=SCHEMA))
    assert quick["input_tokens"].to_pylist() == [1, 1, 1]
    assert quick["model"].to_pylist() == ["m"] * 3


@pytest.mark.parametrize(
    "text",
    [
        *("null", "[]", "1", '"x"', "{", "}", "{}{}", "{} {}", "\x00", "{\x00}", "nan"),
        '{"total_cost": 1, "total_cost": 2}',
        '{"total_cost": {"total_cost": 1}}',
        '{"x": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"x": "' + "y" * 3_000_000 + '"}',
    ],
    ids=lambda text: text[:20],
)
def test_no_text_ends_the_process(text: str) -> None:
    """Arrow's parser ends the process at a bare null; whatever comes, it is read or refused."""
    texts = pa.array(["", text, '{"total_cost": 2}'])
    try:
        found = told.costs_of(texts).to_pylist()
    except ValueError:
        return
    assert found[0] is None
    assert found[2] == 2.0


# --- odd rows ------------------------------------------------------------------------------------


def test_a_text_that_is_no_json_leaves_what_the_columns_say(store: Path) -> None:
    write(store, Traced(trace_id="t", spans=[Span(span_id="a"), Span(span_id="b", tokens=(1, 2))]))
    with closing(sqlite3.connect(store)) as db:
        db.execute("UPDATE spans SET content = '{mlflow.chat.tokenUsage' WHERE span_id = 'a'")
        db.commit()
    found = read(store, "1").spans()
    assert found["span_id"].tolist() == ["a", "b"]
    assert found["name"].tolist() == ["answer"] * 2
    assert found["input_tokens"].isna().tolist() == [True, False]


def test_spans_of_many_traces_come_in_several_statements(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    traces = [
        Traced(trace_id=f"t{i}", started=T0 + i, spans=[Span(span_id="a", tokens=(i, 0))])
        for i in range(10)
    ]
    write(store, *traces)
    whole = read(store, "1").spans()
    monkeypatch.setattr(spans, "_TRACES_AT_ONCE", 3)
    assert_frame_equal(read(store, "1").spans(), whole)
    assert whole["input_tokens"].tolist() == list(range(10))


def test_an_older_database_has_no_spans(store: Path) -> None:
    write(store, Traced(trace_id="t", spans=[Span(span_id="a", tokens=(1, 1))]))
    with closing(sqlite3.connect(store)) as db:
        db.execute("DROP TABLE span_metrics")
        db.execute("DROP TABLE spans")
        db.execute("DROP TABLE assessments")
        db.commit()
    runs = read(store, "1")
    assert len(runs.traces()) == 1
    assert runs.spans().empty
    assert runs.assessments().empty
    assert not runs.has("calls")


@pytest.mark.parametrize(
    ("text", "shown", "number"),
    [
        ("4.5", "4.5", 4.5),
        ("true", "true", 1.0),
        ('"yes"', "yes", 1.0),
        ('"No"', "No", 0.0),
        ('"pass"', "pass", 1.0),
        ('"maybe"', "maybe", None),
        ("NaN", "NaN", None),
        ("1e400", "1e400", None),
        ('{"a": 1}', '{"a": 1}', None),
        ("null", None, None),
        ("{", "{", None),
    ],
)
def test_values_of_assessments(
    store: Path, text: str, shown: str | None, number: float | None
) -> None:
    write(store, Traced(trace_id="t"))
    with closing(sqlite3.connect(store)) as db:
        db.execute(
            "INSERT INTO assessments (assessment_id, trace_id, name, assessment_type, value,"
            " created_timestamp, last_updated_timestamp, source_type, source_id, valid)"
            " VALUES ('a', 't', 'n', 'feedback', ?, 1, 1, 'HUMAN', 'x', 1)",
            (text,),
        )
        db.commit()
    (found,) = read(store, "1").assessments().to_dict("records")
    assert (None if pd.isna(found["value"]) else found["value"]) == shown
    assert (None if pd.isna(found["number"]) else found["number"]) == number

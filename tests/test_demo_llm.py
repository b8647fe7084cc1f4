"""The scenario llm, read back with plain MLflow and added up again, against its ground truth."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import combinations, takewhile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from commands import DEMO, assert_refused, command, environment, in_process
from conftest import BIN
from sqlalchemy import event
from sqlalchemy.engine import Engine
from test_demo import python, world

from qualia_lab.cli.demo import main as demo_command
from qualia_lab.demo import DemoRuns, create_demo_runs

TODAY = date(2026, 6, 30)
SCORER = "mlflow.trace.sourceScorer"

# One process seeds the stores for all of these.
pytestmark = pytest.mark.xdist_group("demo_llm")


@dataclass(frozen=True, kw_only=True)
class Call:
    """A span that asked a model, with the trace it stands in."""

    trace: Any
    span: Any

    @property
    def usage(self) -> dict[str, int]:
        return self.span.attributes.get("mlflow.chat.tokenUsage", {})

    @property
    def model(self) -> str:
        return self.span.attributes["mlflow.llm.model"]

    @property
    def recorded(self) -> Decimal | None:
        cost = self.span.attributes.get("mlflow.llm.cost")
        return None if cost is None else Decimal(repr(cost["total_cost"]))

    def system(self) -> str:
        return self.span.inputs["messages"][0]["content"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a store holds after seeding, as MLflow's own client reads it."""

    made: DemoRuns
    client: Any
    truth: dict[str, Any]
    traces: list[Any]
    runs: dict[str, Any]

    @property
    def pipeline(self) -> list[Any]:
        return [trace for trace in self.traces if SCORER not in trace.info.tags]

    @property
    def judge(self) -> list[Any]:
        return [trace for trace in self.traces if SCORER in trace.info.tags]

    def calls(self) -> Iterator[Call]:
        """Answered calls of the pipeline, in the order of their traces."""
        for trace in self.pipeline:
            for span in trace.data.spans:
                if span.span_type == "LLM" and "mlflow.chat.tokenUsage" in span.attributes:
                    yield Call(trace=trace, span=span)

    def price(self, call: Call) -> Decimal | None:
        """Dollars, from the prices that the ground truth states."""
        price = self.truth["prices"]["models"].get(call.model)
        if price is None:
            return None
        read = call.usage.get("cache_read_input_tokens", 0)
        written = call.usage.get("cache_creation_input_tokens", 0)
        plain = call.usage["input_tokens"] - read - written
        dollars = plain * Decimal(price["input"])
        dollars += call.usage["output_tokens"] * Decimal(price["output"])
        dollars += read * Decimal(price["cache_read"]) if read else 0
        dollars += written * Decimal(price["cache_write"]) if written else 0
        return dollars / 1_000_000


def read_back(made: DemoRuns) -> Outcome:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=made.tracking_uri)
    (one,) = made.experiments
    traces: list[Any] = []
    token = None
    while True:
        page = client.search_traces(
            locations=[one.experiment_id],
            max_results=200,
            page_token=token,
            order_by=["timestamp_ms ASC"],
        )
        traces += page
        token = page.token
        if not token:
            break
    runs = {run.info.run_name: run for run in client.search_runs([one.experiment_id])}
    run_id = runs["ground-truth"].info.run_id
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        path = client.download_artifacts(run_id, "ground_truth.json", folder)
        truth = json.loads(Path(path).read_text(encoding="utf-8"))
    return Outcome(made=made, client=client, truth=truth, traces=traces, runs=runs)


@pytest.fixture(scope="module")
def uri(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("llm")
    return f"sqlite:///{shutil.copy(migrated, folder / 'mlflow.db')}"


@pytest.fixture(scope="module")
def llm(uri: str) -> Outcome:
    return read_back(create_demo_runs(uri, scenario="llm", today=TODAY))


@pytest.fixture(scope="module")
def over_http(server: str) -> Outcome:
    made = create_demo_runs(server, scenario="llm", experiment="llm over http", today=TODAY)
    return read_back(made)


@pytest.fixture(params=["llm", "over_http"])
def any_store(request: pytest.FixtureRequest) -> Outcome:
    outcome: Outcome = request.getfixturevalue(request.param)
    return outcome


def day(trace: Any) -> str:
    return datetime.fromtimestamp(trace.info.request_time / 1000, UTC).date().isoformat()


def sums(outcome: Outcome, key: Callable[[Call], str]) -> dict[str, Decimal]:
    found: defaultdict[str, Decimal] = defaultdict(Decimal)
    for call in outcome.calls():
        price = outcome.price(call)
        if price is not None:
            found[key(call)] += price
    return dict(found)


KEYS: dict[str, Callable[[Call], str]] = {
    "by_model": lambda call: call.model,
    "by_stage": lambda call: call.span.name,
    "by_user": lambda call: call.trace.info.trace_metadata["mlflow.trace.user"],
    "by_session": lambda call: call.trace.info.trace_metadata["mlflow.trace.session"],
    "by_team": lambda call: call.trace.info.tags["team"],
    "by_version": lambda call: call.trace.info.tags["prompt_version"],
    "by_day": lambda call: day(call.trace),
}


@pytest.mark.parametrize("by", KEYS)
def test_every_cost_is_that_of_the_stored_tokens(any_store: Outcome, by: str) -> None:
    planted = {name: Decimal(cost) for name, cost in any_store.truth["cost"][by].items()}
    assert sums(any_store, KEYS[by]) == planted
    assert sum(planted.values()) == Decimal(any_store.truth["cost"]["total"]) > 1


def test_recorded_repriced_and_unpriced_all_occur(any_store: Outcome) -> None:
    planted = any_store.truth["cost"]
    groups: dict[str, list[Call]] = {"recorded": [], "repriced": [], "unpriced": []}
    for call in any_store.calls():
        priced = any_store.price(call)
        if call.recorded is not None:
            assert abs(call.recorded - priced) < Decimal("1e-15")
        name = "recorded" if call.recorded is not None else "repriced"
        groups[name if priced is not None else "unpriced"].append(call)
    assert {name: len(calls) for name, calls in groups.items()} == planted["calls"]
    assert 0.6 < len(groups["recorded"]) / sum(planted["calls"].values()) < 0.85
    assert all(planted["calls"].values())
    for name in ("recorded", "repriced"):
        assert sum(map(any_store.price, groups[name])) == Decimal(planted[name])
    unpriced = [call.usage for call in groups["unpriced"]]
    assert planted["unpriced_tokens"]["input"] == sum(one["input_tokens"] for one in unpriced)
    assert planted["unpriced_tokens"]["output"] == sum(one["output_tokens"] for one in unpriced)


def test_the_store_adds_up_each_trace_itself(any_store: Outcome) -> None:
    """MLflow's own sums: were a span lost or late, they would be too low."""
    tokens: Counter[str] = Counter()
    costs = Decimal(0)
    for trace in any_store.pipeline:
        metadata = trace.info.trace_metadata
        tokens.update(json.loads(metadata.get("mlflow.trace.tokenUsage", "{}")))
        cost = json.loads(metadata.get("mlflow.trace.cost", "{}"))
        costs += Decimal(repr(cost.get("total_cost", 0)))
    planted = any_store.truth["tokens"]
    assert tokens["input_tokens"] == planted["input"]
    assert tokens["output_tokens"] == planted["output"]
    assert tokens["cache_read_input_tokens"] == planted["cache_read"] > 0
    assert tokens["cache_creation_input_tokens"] == planted["cache_write"] > 0
    assert abs(costs - Decimal(any_store.truth["cost"]["recorded"])) < Decimal("1e-12")


def test_tokens_can_be_counted_again_from_the_texts(llm: Outcome) -> None:
    for call in llm.calls():
        system, user = (len(one["content"]) // 4 for one in call.span.inputs["messages"])
        answer = call.span.outputs["choices"][0]["message"]["content"]
        usage = call.usage
        assert usage["input_tokens"] == system + user
        assert usage["output_tokens"] == len(answer) // 4
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


def test_counts(any_store: Outcome) -> None:
    planted = any_store.truth["counts"]
    pipeline = any_store.pipeline
    metadata = [trace.info.trace_metadata for trace in pipeline]
    assert len(pipeline) == planted["traces"] == 240
    assert len(any_store.judge) == planted["judge_traces"]
    assert any_store.made.experiments[0].traces == len(any_store.traces)
    states = Counter(trace.info.state.value for trace in pipeline)
    assert states == {"OK": planted["traces_ok"], "ERROR": planted["traces_error"]}
    spans = [span for trace in pipeline for span in trace.data.spans if span.span_type == "LLM"]
    assert len(spans) == planted["calls"]
    assert len(list(any_store.calls())) == planted["calls_answered"]
    assert len({one["mlflow.trace.user"] for one in metadata}) == planted["users"]
    assert len({one["mlflow.trace.session"] for one in metadata}) == planted["sessions"]
    assert len({trace.info.tags["team"] for trace in pipeline}) == planted["teams"] == 3


def test_errors_by_type(any_store: Outcome) -> None:
    def kinds(span: Any) -> list[str]:
        return [
            event.attributes["exception.type"]
            for event in span.events
            if event.name == "exception"
        ]  # fmt: skip

    planted = any_store.truth["errors"]
    roots: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for trace in any_store.pipeline:
        for span in trace.data.spans:
            assert (span.status.status_code.value == "ERROR") == bool(kinds(span))
            target = roots if span.parent_id is None else calls
            if span.span_type != "PARSER":
                target.update(kinds(span))
            if span.parent_id and "RateLimitError" in kinds(span):
                refused[day(trace)] += 1
    assert roots == planted["traces_by_type"]
    assert calls == planted["calls_by_type"]
    assert set(roots) == {"TimeoutError", "RateLimitError", "JSONDecodeError"}
    assert refused == {one["day"]: one["refused_calls"] for one in planted["rate_limit_bursts"]}


def test_a_malformed_answer_is_really_no_json(llm: Outcome) -> None:
    malformed = 0
    for call in llm.calls():
        if call.span.name == "revise":
            try:
                json.loads(call.span.outputs["choices"][0]["message"]["content"])
            except ValueError:
                malformed += 1
                assert call.trace.info.state.value == "ERROR"
    assert malformed == llm.truth["errors"]["malformed_answers"] == 12


def test_timeouts_take_as_long_as_they_say(llm: Outcome) -> None:
    longest = [
        (span.end_time_ns - span.start_time_ns) / 1e9
        for trace in llm.pipeline
        for span in trace.data.spans
        if span.status.description.startswith("TimeoutError") and span.parent_id
    ]
    assert longest == [llm.truth["errors"]["timeout_seconds"]] * 10


def test_repeats_are_equal_to_the_letter(any_store: Outcome) -> None:
    planted = any_store.truth["repeats"]
    roots = [json.dumps(trace.data.spans[0].inputs) for trace in any_store.pipeline]
    assert len(roots) - len(set(roots)) == planted["traces"] == 36
    seen: set[str] = set()
    again: list[Call] = []
    for call in any_store.calls():
        asked = json.dumps(call.span.inputs, sort_keys=True)
        if asked in seen:
            again.append(call)
        seen.add(asked)
    assert len(again) == planted["calls"]
    spent = [any_store.price(call) for call in again]
    assert sum(one for one in spent if one is not None) == Decimal(planted["cost"])


def test_the_shared_prefix(llm: Outcome) -> None:
    planted = llm.truth["shared_prefix"]
    calls = list(llm.calls())
    columns = zip(*(call.system() for call in calls), strict=False)
    shared = list(takewhile(lambda column: len(set(column)) == 1, columns))
    assert (len(shared), len(shared) // 4) == (planted["characters"], planted["tokens"])
    assert planted["calls"] == len(calls)
    assert planted["calls_by_model"] == Counter(call.model for call in calls)
    # From 1,024 tokens on, providers cache a prompt.
    assert planted["cacheable_tokens"] >= 1024


def test_the_judge_is_kept_apart(any_store: Outcome) -> None:
    planted = any_store.truth["judge"]
    judged = {trace.info.trace_id: trace for trace in any_store.judge}
    noted, spent = Decimal(0), Decimal(0)
    for trace in any_store.pipeline:
        for one in trace.info.assessments:
            if one.source.source_type == "LLM_JUDGE":
                noted += Decimal(one.metadata["mlflow.assessment.judgeCost"])
                own = judged.pop(one.metadata["mlflow.assessment.scorerTraceId"])
                (span,) = own.data.spans
                price = any_store.price(Call(trace=own, span=span))
                assert price == Decimal(one.metadata["mlflow.assessment.judgeCost"])
                spent += price
                assert own.info.tags[SCORER] == one.source.source_id == planted["name"]
    assert judged == {}
    assert noted == spent == Decimal(planted["cost"]) > 0


def test_scores_of_judge_and_raters(any_store: Outcome) -> None:
    planted = any_store.truth["scores"]
    given: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for trace in any_store.pipeline:
        for one in trace.info.assessments:
            assert one.name == planted["name"]
            given[one.source.source_id][trace.info.trace_id] = int(one.feedback.value)
    raters = [f"rater-{number}" for number in (1, 2, 3)]
    assert set(given) == {any_store.truth["judge"]["name"], *raters}
    for name, expected in [
        (any_store.truth["judge"]["name"], planted["judge"]),
        *planted["raters"].items(),
    ]:
        values = list(given[name].values())
        assert expected == {
            "count": len(values), "sum": sum(values), "mean": sum(values) / len(values),
        }  # fmt: skip
        assert set(values) <= {1, 2, 3, 4, 5}
    for a, b in combinations(raters, 2):
        equal = sum(given[a][trace] == given[b][trace] for trace in given[a])
        pair = planted["exact_agreement"][f"{a} and {b}"]
        assert pair == {"equal": equal, "pairs": len(given[a])}
        assert 0.2 < equal / len(given[a]) < 0.9  # imperfect, but more than by chance


def test_traces_belong_to_the_run_of_their_version(any_store: Outcome) -> None:
    assert set(any_store.runs) == {"ground-truth", "prompt-v1", "prompt-v2", "prompt-v3"}
    names = {run.info.run_id: name for name, run in any_store.runs.items()}
    counted: Counter[str] = Counter()
    for trace in any_store.pipeline:
        run = any_store.client.get_run(trace.info.trace_metadata["mlflow.sourceRun"])
        assert run.info.start_time <= trace.info.request_time <= run.info.end_time
        counted[names[run.info.run_id].removeprefix("prompt-v")] += 1
    assert counted == any_store.truth["counts"]["traces_by_version"]
    for number in (1, 2, 3):
        run = any_store.runs[f"prompt-v{number}"]
        assert run.data.params["prompt_version"] == str(number)
        assert run.info.status == "FINISHED"


def test_times_count_back_from_today(llm: Outcome) -> None:
    days = {day(trace) for trace in llm.traces}
    assert min(days) == llm.truth["first_day"] == (TODAY - timedelta(days=60)).isoformat()
    assert max(days) == llm.truth["last_day"] == (TODAY - timedelta(days=1)).isoformat()
    for trace in llm.pipeline:
        root, *others = trace.data.spans
        for span in others:
            assert root.start_time_ns <= span.start_time_ns <= span.end_time_ns <= root.end_time_ns
        created = [one.create_time_ms for one in trace.info.assessments]
        assert all(trace.info.request_time < at for at in created)


def test_everything_says_that_it_is_simulated(any_store: Outcome) -> None:
    experiment = any_store.client.get_experiment(any_store.made.experiment_id)
    tagged = [experiment.tags, *(run.data.tags for run in any_store.runs.values())]
    tagged += [trace.info.tags for trace in any_store.traces]
    assert {tags["qualia_lab.demo"] for tags in tagged} == {"simulated"}
    assert not any({"mlflow.user", "service.instance.id"} & set(tags) for tags in tagged)


def test_prices_are_those_of_the_source(llm: Outcome) -> None:
    from genai_prices import Usage, calc_price

    names = {"gemini": "google"}
    fields = {
        "input": Usage(input_tokens=1000),
        "output": Usage(output_tokens=1000),
        "cache_read": Usage(input_tokens=1000, cache_read_tokens=1000),
        "cache_write": Usage(input_tokens=1000, cache_write_tokens=1000),
    }
    when = datetime.combine(TODAY, datetime.min.time(), UTC)
    for model, price in llm.truth["prices"]["models"].items():
        provider = names.get(price["provider"], price["provider"])
        for kind in set(price) - {"provider"}:
            found = calc_price(
                fields[kind], model, provider_id=provider, genai_request_timestamp=when
            )
            assert found.total_price * 1000 == Decimal(price[kind]), (model, kind)
    for model in llm.truth["prices"]["in_no_list"]:
        with pytest.raises(LookupError):
            calc_price(fields["input"], model)


def test_mlflow_knows_no_price_where_none_is_recorded(
    llm: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.tracing.utils import calculate_cost_by_model_and_token_usage as cost

    monkeypatch.setenv("MLFLOW_MODEL_CATALOG_URI", "")
    usage = {"input_tokens": 1000, "output_tokens": 1000}
    prices = llm.truth["prices"]
    for model, price in prices["models"].items():
        found = cost(model, usage, price["provider"])
        assert (found is None) == (model in prices["not_recorded_on_spans"]), model
        if found is not None:
            dollars = (Decimal(price["input"]) + Decimal(price["output"])) / 1000
            assert found["total_cost"] == pytest.approx(float(dollars))
    assert cost(prices["in_no_list"][0], usage, "local") is None


def test_the_same_seed_gives_the_same_numbers(llm: Outcome, uri: str) -> None:
    again = read_back(create_demo_runs(uri, scenario="llm", experiment="again", today=TODAY))
    assert again.truth == llm.truth
    asked = [
        [[(span.name, span.inputs) for span in trace.data.spans] for trace in one.pipeline]
        for one in (again, llm)
    ]
    assert asked[0] == asked[1]
    ids = [{trace.info.trace_id for trace in one.traces} for one in (again, llm)]
    assert not ids[0] & ids[1]


def test_seeds_differ_and_hash_seeds_do_not() -> None:
    code = (
        "import datetime, json\n"
        "from qualia_lab.demo.llm import plan, truth\n"
        "first = datetime.date(2026, 1, 1)\n"
        "print(json.dumps([truth.of(plan.traces(seed), seed, first) for seed in (0, 1)]))"
    )
    first, second = (python(code, PYTHONHASHSEED=seed) for seed in ("1", "2"))
    assert first == second
    one, other = json.loads(first)
    assert one["cost"]["total"] != other["cost"]["total"]
    assert one["prices"] == other["prices"]


@pytest.mark.parametrize(
    ("raised", "status"), [(KeyboardInterrupt, "KILLED"), (RuntimeError, "FAILED")]
)
def test_stopped_in_the_middle_nothing_is_left_running(
    llm: Outcome, uri: str, raised: type[BaseException], status: str
) -> None:
    seen: dict[str, str | None] = {}

    def stop(done: int, total: int, what: str) -> None:
        for name in ("MLFLOW_ENABLE_ASYNC_TRACE_LOGGING", "MLFLOW_MODEL_CATALOG_URI"):
            seen[name] = os.environ.get(name)
        if what == "traces of prompt-v2":
            raise raised("stop")

    experiment = f"stopped by {raised.__name__}"
    before = world()
    with pytest.raises(raised, match="stop"):
        create_demo_runs(uri, scenario="llm", experiment=experiment, on_progress=stop)
    assert world() == before
    assert seen == {
        "MLFLOW_ENABLE_ASYNC_TRACE_LOGGING": "false",
        "MLFLOW_MODEL_CATALOG_URI": "",
    }
    found = llm.client.get_experiment_by_name(f"{experiment}-llm").experiment_id
    runs = llm.client.search_runs([found])
    assert {run.info.run_name: run.info.status for run in runs} == {
        "ground-truth": "FINISHED",
        "prompt-v1": "FINISHED",
        "prompt-v2": status,
    }
    traces = llm.client.search_traces(locations=[found], max_results=500)
    assert {trace.info.state.value for trace in traces} == {"OK", "ERROR"}
    assert all(trace.data.spans for trace in traces)


def test_progress_counts_runs_and_traces(uri: str) -> None:
    told: list[tuple[int, int, str]] = []
    create_demo_runs(
        uri, scenario="llm", experiment="told", on_progress=lambda *one: told.append(one)
    )
    assert told[0] == (0, 244, "ground-truth")
    assert told[-1] == (244, 244, "prompt-v3")
    assert [one[0] for one in told] == sorted(one[0] for one in told)


def test_an_unknown_scenario_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="training, llm, drift or all"):
        create_demo_runs(f"sqlite:///{tmp_path / 'mlflow.db'}", scenario="other")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["9", "--scenario", "llm"], ["the scenario llm has one size"]),
        (["9", "--scenario", "drift"], ["the scenario drift has one size"]),
        (["--scenario", "other"], ["--scenario", "training", "llm", "drift", "all"]),
    ],
)
def test_flags_that_make_no_sense(args: list[str], words: list[str], tmp_path: Path) -> None:
    assert_refused(in_process(demo_command, *args, cwd=tmp_path), 2, *words)
    assert not list(tmp_path.iterdir())


def test_all_scenarios_by_the_command(tmp_path: Path) -> None:
    args = ["1", "--scenario", "all", "--experiment", "mine", "--json"]
    done = command(*args, program=DEMO, cwd=tmp_path)
    assert done.code == 0, done.err
    record = json.loads(done.out)
    assert (record["experiment"], record["tracking_uri"]) == ("mine", "sqlite:///mlflow.db")
    found = {one["scenario"]: one for one in record["experiments"]}
    assert {name: one["experiment"] for name, one in found.items()} == {
        "training": "mine",
        "llm": "mine-llm",
        "drift": "mine-drift",
    }
    assert [len(one["run_ids"]) for one in found.values()] == [1, 4, 99]
    assert record["run_ids"] == [one for each in found.values() for one in each["run_ids"]]
    assert found["llm"]["traces"] > 240
    assert found["drift"]["traces"] == found["training"]["traces"] == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_no_run_running(
    number: signal.Signals, code: int, migrated: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copy(migrated, tmp_path / "mlflow.db"))

    def stored(query: str) -> list[Any]:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as db:
            return list(db.execute(query))

    process = subprocess.Popen(
        [str(BIN / DEMO), "--scenario", "llm", "--tracking-uri", f"sqlite:///{path}"],
        cwd=tmp_path,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    with process:
        deadline = time.monotonic() + 90
        while not stored("SELECT 1 FROM trace_info LIMIT 1"):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        process.send_signal(number)
        out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (code, b"")
    ended = dict(stored("SELECT name, status FROM runs"))
    assert ended["ground-truth"] == "FINISHED"
    assert "KILLED" in ended.values()
    assert "RUNNING" not in ended.values()


@pytest.mark.parametrize("statement", ["INSERT INTO trace_info", "INSERT INTO trace_tags"])
def test_stopped_within_a_transaction_its_lock_is_let_go(
    statement: str, migrated: Path, tmp_path: Path
) -> None:
    """SQLite stays locked for as long as anything holds on to the interrupted transaction."""
    path = Path(shutil.copy(migrated, tmp_path / "mlflow.db"))

    def interrupt(connection: Any, cursor: Any, executed: str, *others: Any) -> None:
        if executed.startswith(statement):
            event.remove(Engine, "after_cursor_execute", interrupt)
            raise KeyboardInterrupt

    event.listen(Engine, "after_cursor_execute", interrupt)
    with pytest.raises(KeyboardInterrupt):
        create_demo_runs(f"sqlite:///{path}", scenario="llm")
    with closing(sqlite3.connect(path)) as db:
        statuses = dict(db.execute("SELECT name, status FROM runs"))
    assert statuses == {"ground-truth": "FINISHED", "prompt-v1": "KILLED"}

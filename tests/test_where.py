"""Conditions on runs: held against a naive evaluation run by run, and against those who attack."""

from __future__ import annotations

import math
import operator
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qualia_lab import RunSet
from qualia_lab.errors import UsageError
from qualia_lab.model import ArtifactList
from qualia_lab.tracking import frames, reader
from qualia_lab.where import Where

NAN, INF = float("nan"), float("inf")
T0 = 1_700_000_000_000


@dataclass(frozen=True, kw_only=True)
class One:
    """A run, as plain Python values."""

    name: str = ""
    status: str = "FINISHED"
    started: int | None = T0
    ended: int | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, Sequence[float]] = field(default_factory=dict)


class Points:
    """A source that holds histories and nothing else."""

    def __init__(self, runs: Sequence[One]) -> None:
        self._rows = [
            (str(i), key, step, T0 + step, value)
            for i, run in enumerate(runs)
            for key, curve in run.metrics.items()
            for step, value in enumerate(curve)
        ]

    def history(self, run_ids: Sequence[str], metrics: Sequence[str]) -> pd.DataFrame:
        rows = [row for row in self._rows if row[0] in run_ids and row[1] in metrics]
        return frames.history(reader.table(reader.POINTS, rows), run_ids)

    def artifacts(self, run_id: str) -> ArtifactList:
        raise NotImplementedError

    models = traces = read_artifact = artifacts


def run_set(*runs: One) -> RunSet:
    """Runs whose ids are their places."""

    def pairs(what: str) -> pa.Table:
        rows = [(str(i), k, v) for i, one in enumerate(runs) for k, v in getattr(one, what).items()]
        return reader.table(reader.TEXTS, rows)

    last = [(str(i), k, v[-1]) for i, one in enumerate(runs) for k, v in one.metrics.items()]
    infos = [
        (str(i), one.name, "1", one.status, one.started, one.ended, None, "")
        for i, one in enumerate(runs)
    ]
    columns = reader.Columns(
        runs=reader.table(reader.RUNS, infos),
        params=pairs("params"),
        metrics=reader.table(reader.NUMBERS, last),
        tags=pairs("tags"),
        datasets=reader.schema(reader.DATASETS).empty_table(),
    )
    return frames.run_set(columns, source=Points(runs), experiments={"1": "exp"}, run_ids=None)  # type: ignore[arg-type]


def matching(text: str, *runs: One) -> list[int]:
    return [int(run) for run in Where(text).matching(run_set(*runs))]


# --- against a naive evaluation, run by run ------------------------------------------------------

Test = Callable[[One], bool]
NAMES = ["lr", "opt", "odd name", "a.b"]
WORDS = [
    "adam",
    "sgd",
    "0.1",
    "1e-1",
    "10",
    "-3",
    "True",
    "nan",
    "1e999",
    "0x10",
    "1_000",
    " 1",
    "",
]
LITERALS = [0.1, 10.0, -3.0, 0.0, 1e300]
ORDERS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
SAME = {"==": operator.eq, "!=": operator.ne}


def spelt(text: str) -> float | None:
    """The number that a param spells: Python's own, without blanks, underscores and infinities."""
    if text != text.strip() or "_" in text:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def access(group: str, name: str) -> str:
    return f"{group}.{name}" if name.replace(".", "").isidentifier() else f"{group}[{name!r}]"


@st.composite
def comparisons(draw: st.DrawFn) -> tuple[str, Test]:
    group = draw(st.sampled_from(["params", "tags", "metrics"]))
    name = draw(st.sampled_from(NAMES))
    place = access(group, name)
    negative = draw(st.booleans())
    if draw(st.integers(0, 4)) == 0:
        none = f"{place} is {'not ' if negative else ''}None"
        return none, lambda run: (name in getattr(run, group)) == negative
    if group == "metrics":
        return draw(numeric(place, lambda run: last(run, name)))
    kind = draw(st.sampled_from(["number", "text", "in", "contains", "method"]))
    if kind == "number":
        return draw(numeric(place, lambda run: spelt(getattr(run, group).get(name, ""))))
    word = draw(st.sampled_from(WORDS))
    if kind == "text":
        sign = draw(st.sampled_from(sorted(SAME)))
        return f"{place} {sign} {word!r}", of_text(group, name, lambda v: SAME[sign](v, word))
    if kind == "in":
        words = draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=3))
        listed = f"{place} {'not ' if negative else ''}in ({', '.join(map(repr, words))},)"
        return listed, of_text(group, name, lambda v: (v in words) != negative)
    if kind == "contains":
        holds = f"{word!r} {'not ' if negative else ''}in {place}"
        return holds, of_text(group, name, lambda v: (word in v) != negative)
    method = draw(st.sampled_from(["startswith", "endswith"]))
    calls: Callable[[str], bool] = lambda v: bool(getattr(v, method)(word))  # noqa: E731
    return f"{place}.{method}({word!r})", of_text(group, name, calls)


def last(run: One, name: str) -> float | None:
    return run.metrics[name][-1] if name in run.metrics else None


def of_text(group: str, name: str, test: Callable[[str], bool]) -> Test:
    return lambda run: name in getattr(run, group) and test(getattr(run, group)[name])


@st.composite
def numeric(draw: st.DrawFn, place: str, value: Callable[[One], float | None]) -> tuple[str, Test]:
    sign, compare = draw(st.sampled_from(sorted((ORDERS | SAME).items(), key=lambda one: one[0])))
    literal = draw(st.sampled_from(LITERALS))

    def test(run: One) -> bool:
        found = value(run)
        return found is not None and bool(compare(found, literal))

    return f"{place} {sign} {literal!r}", test


def both(parts: list[tuple[str, Test]], word: str) -> tuple[str, Test]:
    join = all if word == "and" else any
    text = f" {word} ".join(f"({one})" for one, _ in parts)
    return text, lambda run: join([test(run) for _, test in parts])


conditions = st.recursive(
    comparisons(),
    lambda inner: st.one_of(
        st.builds(both, st.lists(inner, min_size=2, max_size=3), st.sampled_from(["and", "or"])),
        inner.map(lambda one: (f"not ({one[0]})", lambda run, test=one[1]: not test(run))),
    ),
    max_leaves=6,
)
everything = One(
    params=dict.fromkeys(NAMES, "0.1"),
    tags=dict.fromkeys(NAMES, "adam"),
    metrics={name: [0.0] for name in NAMES},
)
values = st.one_of(st.sampled_from([NAN, INF, -INF, *LITERALS]), st.floats(width=64))
some_runs = st.builds(
    One,
    params=st.dictionaries(st.sampled_from(NAMES), st.sampled_from(WORDS)),
    tags=st.dictionaries(st.sampled_from(NAMES), st.sampled_from(WORDS)),
    metrics=st.dictionaries(
        st.sampled_from(NAMES), st.lists(values, min_size=1, max_size=3), max_size=3
    ),
)


@settings(deadline=None, max_examples=300)
@given(condition=conditions, runs=st.lists(some_runs, max_size=6))
def test_it_says_what_a_naive_evaluation_says(condition: tuple[str, Test], runs: list[One]) -> None:
    text, test = condition
    runs = [*runs, everything]  # so that every name is known
    assert matching(text, *runs) == [i for i, run in enumerate(runs) if test(run)]


# --- what it means -------------------------------------------------------------------------------

ADAM = One(
    name="ablation 1",
    started=T0,
    ended=T0 + 90_000,
    params={"opt": "adam", "lr": "0.1", "a-b": "x", "bn": "True"},
    metrics={"loss": [0.5, 0.2, 0.3], "acc": [0.1, 0.9, NAN], "odd": [1.0, 2.0]},
    tags={"team": "a"},
)
SGD = One(
    name="base",
    status="FAILED",
    started=T0 + 86_400_000,
    params={"opt": "sgd", "lr": "1e-3"},
    metrics={"loss": [0.7]},
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('params.lr > 0.01 and (tags.team == "a" or metrics.loss < 0)', [0]),
        ("0.05 < params.lr <= 0.1", [0]),
        ("params['lr'] == 0.001", [1]),
        ('params.lr == "0.001"', []),
        ("params.lr != 0.1", [1]),
        ("params.bn != 'x'", [0]),
        ("not params.bn == 'x'", [0, 1]),
        ("params.bn == True", [0]),
        ("params.bn == False", []),
        ("params.bn is None", [1]),
        ("params.bn is not None", [0]),
        ("params.bn == None", [1]),
        ('params.opt in ["sgd", "lion"]', [1]),
        ("params.lr in (0.1, 0.2)", [0]),
        ("params.bn not in ('x',)", [0]),
        ('"lat" in name', [0]),
        ('name.contains("as")', [1]),
        (r'name.matches("^a.*\d$")', [0]),
        ('name.matches("(?i)BASE")', [1]),
        ('status in ("FAILED", "KILLED")', [1]),
        ('experiment == "exp"', [0, 1]),
        ('run_id == "1"', [1]),
        ("metrics.loss < 0.4", [0]),
        ("min(metrics.loss) < 0.25", [0]),
        ("best(metrics.loss) == 0.2", [0]),
        ("max(metrics.acc) == 0.9", [0]),
        ("best(metrics.acc) == 0.9", [0]),
        ("first(metrics.loss) >= 0.5", [0, 1]),
        ("last(metrics.loss) == metrics.loss", [0, 1]),
        ("isnan(metrics.acc)", [0]),
        ("metrics.acc == metrics.acc", []),
        ("metrics.acc != 0", [0]),
        ("metrics.loss * 2 - 0.1 > params.lr + 0.5", [1]),
        ("-params.lr < -0.05", [0]),
        ("metrics.loss / 0 > 1e308", [0, 1]),
        ("duration > 60", [0]),
        ('duration >= "1.5m"', [0]),
        ("ended is None", [1]),
        ('started >= "2023-11-15"', [1]),
        ('started < "2023-11-15T00:00:00-02:00"', [0]),
        ("started < ended", [0]),
        ("params.lr < 99999999999999999999999999999999999999999", [0, 1]),
        ("params.lr\n  > 0.01", [0]),
    ],
)
def test_what_a_condition_means(text: str, found: list[int]) -> None:
    assert matching(text, ADAM, SGD) == found


def test_a_history_is_read_only_where_it_is_asked_for() -> None:
    runs = run_set(ADAM, SGD)
    Where("metrics.loss < 1 and last(metrics.loss) < 1").matching(runs)
    assert runs.coverage.of_histories == 0
    Where("min(metrics.loss) < 1").matching(runs)
    assert runs.coverage.of_histories == 2


@pytest.mark.parametrize(
    ("text", "what", "marked"),
    [
        ("params.lt > 1", "no run has a param lt", "params.lt"),
        ("metrics.loss < 1 and metrics.los > 2", "no run has a metric los", "metrics.los"),
        ("'ü' == name and tags.x == 'b'", "no run has a tag x", "tags.x"),
        ("lr > 1", "no lr", "lr"),
        ("params > 1", "which of the params", "params"),
        ("params.lr", "says neither yes nor no", "params.lr"),
        ("1 == 1", "says nothing about runs", "1 == 1"),
        ('name > "a"', "orders by a text", 'name > "a"'),
        ("started > 5", "compares a time with a number", "started > 5"),
        ("started > 'soon'", "soon is no time", "started > 'soon'"),
        ("started > duration", "compares a time with a span", "started > duration"),
        ("duration > 'long'", "is no span of time", "duration > 'long'"),
        ("started + 1 > 2", "reckons with times", "started + 1"),
        ("name + 'a' == 'b'", "reckons with what is no number", "name + 'a'"),
        ("best(metrics.odd) > 1", "is not known", "best(metrics.odd)"),
        ("best(params.lr) > 1", "takes one metric", "best(params.lr)"),
        ("median(metrics.loss) > 1", "no function median", "median(metrics.loss)"),
        ("name.matches('(')", "is no regular expression", "'('"),
        ("name.startswith(1)", "takes one text in quotes", "name.startswith(1)"),
        (
            "metrics.loss.startswith('a')",
            "looks into a text, and this is none",
            "metrics.loss.startswith('a')",
        ),
        ("name in 'abc'", "wants a list after in", "name in 'abc'"),
        ("params.lr is 3", "write == instead", "params.lr is 3"),
        ("params.lr < None", "orders by None", "params.lr < None"),
        ("(name == 'a') == True", "join it by and, or, not", None),
        ("params.lr >", "is no condition from here on", None),
        ("params.a-b == 'x'", "no run has a param a", "params.a"),
    ],
)
def test_an_error_points_at_the_place(text: str, what: str, marked: str | None) -> None:
    with pytest.raises(UsageError, match=r"(?s).*") as caught:
        matching(text, ADAM, SGD)
    said, line, mark = str(caught.value).split("\n")
    assert what in said
    assert line == f"  {text}"
    assert set(mark) == {" ", "^"}
    if marked:
        start = mark.index("^")
        assert line[start : mark.rindex("^") + 1] == marked
    assert caught.value.hint


def test_an_error_names_what_is_known() -> None:
    with pytest.raises(UsageError) as caught:
        matching("params.learning > 1", ADAM)
    assert caught.value.hint == "known: a-b, bn, lr, opt"
    with pytest.raises(UsageError) as caught:
        matching("lr > 1", ADAM)
    assert "params.lr" in caught.value.hint


# --- attempts to get out -------------------------------------------------------------------------

ESCAPES = [
    '__import__("os").system("touch /tmp/x")',
    "().__class__.__bases__[0].__subclasses__()",
    "name.__class__",
    "name.__class__ == 1",
    "params.__class__.__init__ == 1",
    'params["lr"].__class__ == 1',
    "params.lr.format(1)",
    'name.format(1) == "a"',
    'getattr(name, "upper")() == "A"',
    "[x for x in params] == 1",
    "{x: 1 for x in name} == 1",
    "(x for x in name) == 1",
    "(lambda: 1)() == 1",
    "(x := 1) == 1",
    'f"{name}" == "a"',
    'f"{().__class__}" in name',
    "name[0] == 'a'",
    "params[0] == 1",
    "params[name] == 1",
    "params['lr':'x'] == 1",
    "9**9**9 < params.lr",
    "'a' * 10**9 == name",
    "params.lr * 'a' == name",
    "1 << 10**9 > params.lr",
    "name if name else name",
    "name.startswith(*['a'])",
    "name.startswith(prefix='a')",
    "name.startswith('a', 0)",
    "exec('1')",
    "eval('1') == 1",
    "print(name)",
    "best(metrics.loss, 1) > 1",
    "best(*metrics.loss) > 1",
    "best(metrics) > 1",
    "await name == 1",
    "(yield name) == 1",
    "... == name",
    "b'a' == name",
    "1j == params.lr",
    "*name, = 1",
    "import os",
    "name; import os",
    "name = 1",
    "del name",
    "_runs == 1",
    "self == 1",
    "globals() == 1",
    "name @ name == 1",
    "~params.lr == 1",
    "params.lr // 2 == 1",
    "params.lr % 2 == 1",
    "{'a'} == name",
    "{'a': 1} == name",
    "name in {'a': 1}",
    "name in ('a', name)",
    "name in (['a'],)",
    "(1, 2) == params.lr",
    "name.contains",
    "name.contains()",
    "",
    "   ",
    "\x00",
    "name == '\x00",
    "#",
    "a" * 6000,
    "not " * 1200 + "name == 'a'",
    "(" * 1000 + "name == 'a'" + ")" * 1000,
    "-" * 4900 + "params.lr > 1",
    "params" + ".a" * 2000 + " == 1",
    "name == '\ud800",
    "\u202ename == 'a'",
]


class Watch:
    """What Python reports to its audit hooks while this is on. A hook can't be taken out again."""

    def __init__(self) -> None:
        self.seen: list[str] | None = None
        sys.addaudithook(self._hear)

    def _hear(self, event: str, args: object) -> None:
        if self.seen is not None:
            self.seen.append(event)

    @contextmanager
    def on(self) -> Iterator[list[str]]:
        self.seen = []
        try:
            yield self.seen
        finally:
            self.seen = None


@pytest.fixture(scope="module")
def watch() -> Watch:
    return Watch()


ACTS = {"os.system", "subprocess.Popen", "exec", "import", "open"}


def test_what_would_get_out_is_seen(watch: Watch) -> None:
    with watch.on() as seen:
        eval("__import__('os').stat('/') and open('/dev/null').close()")
    assert {"exec", "open"} <= set(seen)


@pytest.mark.parametrize("text", ESCAPES, ids=range(len(ESCAPES)))
def test_nothing_gets_out(watch: Watch, text: str) -> None:
    runs = run_set(ADAM, SGD)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with watch.on() as seen, pytest.raises(UsageError) as caught:
            Where(text).matching(runs)
    assert not ACTS & set(seen)
    assert len(str(caught.value)) < 20_000


@settings(deadline=None, max_examples=300)
@given(text=st.text(max_size=40))
def test_any_text_is_a_condition_or_an_error_of_ours(text: str) -> None:
    try:
        matching(text, ADAM, SGD)
    except UsageError as error:
        assert str(error)

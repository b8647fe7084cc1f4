"""Artifacts of several runs side by side: pictures, tables and texts that anybody can log."""

from __future__ import annotations

import io
import json
import re
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import HOSTILE
from PIL import Image
from stores import Run, curve, fill, run_id

from qualia_lab import ArtifactExplorer, analysis
from qualia_lab.analysis.artifacts import compare_images, list_artifacts, listed
from qualia_lab.analysis.images import Picture, image_name
from qualia_lab.analysis.logged_tables import parsed
from qualia_lab.analysis.show import Note, Report
from qualia_lab.analysis.styles import run_styles
from qualia_lab.analysis.tables import compare_tables
from qualia_lab.analysis.texts import Preformatted, compare_texts
from qualia_lab.errors import NotFoundError, ServerError
from qualia_lab.model import ArtifactList, Query, RunSet
from qualia_lab.table_files import NoTableError

NAN = float("nan")
Files = dict[str, bytes | str]


def load(store: Path, files: list[Files], losses: list[float] | None = None) -> RunSet:
    """A run for each set of files, called ``r0``, ``r1``, ...; with a loss where there are any."""
    runs = [
        Run(
            run_id=run_id(number),
            name=f"r{number}",
            metrics={"loss": curve([losses[number]])} if losses else {},
        )
        for number in range(len(files))
    ]
    for run, mine in zip(runs, files, strict=True):
        for path, content in mine.items():
            target = store.parent / "artifacts" / run.run_id / "artifacts" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.encode() if isinstance(content, str) else content)
    fill(store, runs)
    explorer = ArtifactExplorer(f"sqlite:///{store}")
    return explorer.load(Query(run_ids=tuple(run.run_id for run in runs)))


def image(colour: Any = "red", size: tuple[int, int] = (60, 40), kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, kind)
    return buffer.getvalue()


def bytes_of(picture: Image.Image, kind: str = "PNG", **how: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **how)
    return buffer.getvalue()


def pixels(shown: object) -> Image.Image:
    """The picture that a notebook would show."""
    assert isinstance(shown, Picture)
    return Image.open(io.BytesIO(shown._repr_mimebundle_()["image/png"])).convert("RGB")


def colours(shown: object) -> set[tuple[int, ...]]:
    found = pixels(shown).getcolors(100_000)
    assert found
    return {colour for count, colour in found if count > 500 and isinstance(colour, tuple)}


def split(columns: list[Any], data: list[Any]) -> str:
    """As ``mlflow.log_table`` writes it."""
    return json.dumps({"columns": columns, "data": data})


# --- the images of a run -------------------------------------------------------------------------


def test_a_picture_shows_itself_with_words_for_it(empty_store: Path) -> None:
    runs = load(empty_store, [{"plots/a.png": image("red"), "b.jpeg": image("blue", kind="JPEG")}])
    shown = analysis.run_images(runs, run_id(0))
    assert isinstance(shown, Picture)
    assert repr(shown) == shown.alt == "Images: b.jpeg, plots/a.png"
    assert shown._repr_mimebundle_()["text/plain"] == shown.alt
    assert {(255, 0, 0), (255, 255, 255)} <= colours(shown)
    # 60 × 40 is enlarged by a whole factor, as far as it fits into 420.
    assert sum(n for n, c in pixels(shown).getcolors(10_000) or () if c == (255, 0, 0)) == 420 * 280


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_kind_of_png_is_drawn_on_white(mode: str, empty_store: Path) -> None:
    grey = Image.fromarray(np.full((500, 500), 0x8000, dtype=np.uint16))
    picture = grey if mode == "I;16" else Image.new(mode, (500, 500))
    runs = load(empty_store, [{"x.png": bytes_of(picture)}])
    drawn = pixels(analysis.run_images(runs, run_id(0)))
    wanted = {"LA": 255, "RGBA": 255, "I;16": 128}.get(mode, 0)
    assert drawn.getpixel((200, 200)) == (wanted, wanted, wanted)
    assert max(drawn.size) < 500


def test_colours_of_a_chart_are_kept_and_many_photographs_stay_small(empty_store: Path) -> None:
    draw = np.random.default_rng(0)
    coarse = draw.integers(0, 255, (12, 16, 3), dtype=np.uint8)
    photo = Image.fromarray(coarse).resize((1600, 1200), Image.Resampling.BICUBIC)
    chart = Image.new("RGB", (400, 400), (0, 114, 178))
    chart.paste((213, 94, 0), (0, 0, 200, 200))
    photos: Files = {f"{n}.jpg": bytes_of(photo, "JPEG") for n in range(6)}
    runs = load(empty_store, [{"chart.png": bytes_of(chart)}, photos])
    assert {(0, 114, 178), (213, 94, 0)} <= colours(analysis.run_images(runs, run_id(0)))
    many = analysis.run_images(runs, run_id(1))
    assert isinstance(many, Picture)
    assert len(many.png) <= 48_000
    assert pixels(many).width > 300


def test_broken_images_and_lists_are_said(empty_store: Path) -> None:
    broken: Files = {
        "cut.png": image(size=(300, 300))[:60],
        "text.png": "<svg onload=alert(1)>",
        "empty.jpg": b"",
        "vector.png": "<svg xmlns='http://www.w3.org/2000/svg'/>",
        "gif.png": bytes_of(Image.new("RGB", (9, 9)), "GIF"),
        "good.png": image(),
    }
    runs = load(empty_store, [broken, {"model.pkl": b"\x80\x04."}])
    shown = analysis.run_images(runs, run_id(0))
    assert isinstance(shown, Picture)
    assert shown.alt.startswith("Images: good.png. ")
    for path in broken.keys() - {"good.png"}:
        assert f"{path}: " in shown.alt
    assert repr(analysis.run_images(runs, run_id(1))) == "No images among the artifacts."
    refused = with_lists(runs, {run_id(1): ArtifactList(problem="they are elsewhere")})
    assert repr(analysis.run_images(refused, run_id(1))) == "The artifacts: they are elsewhere"


def test_an_image_with_a_key_and_a_step_has_a_name_for_people() -> None:
    name = "images/dogs~cat+step+12+timestamp+1700000000000+0a-1b.png"
    assert image_name(name) == "dogs~cat, step 12"
    assert image_name(name.replace("+", "%")) == "dogs~cat, step 12"
    assert image_name("images/plain.png") == "images/plain.png"


def with_lists(runs: RunSet, lists: dict[str, ArtifactList]) -> RunSet:
    return replace(runs, _cache={"artifacts": lists})


# --- a list of all -------------------------------------------------------------------------------


def test_artifacts_are_listed_over_all_runs(empty_store: Path) -> None:
    stepped = "images/eval+step+{}+timestamp+1+aa.png"
    runs = load(
        empty_store,
        [
            {"a/table.json": "[]", "x.txt": "12345", stepped.format(1): b"1"},
            {"x.txt": "1" * 2500, stepped.format(1): b"12", stepped.format(2): b"123"},
            {"model/model.pkl": b"1", "odd.zzz": b"1", "no_ending": b"1"},
        ],
    )
    tagged = runs.tags.assign(
        **{
            "mlflow.loggedArtifacts": [
                '[{"path": "a/table.json", "type": "table"}]', "no JSON", '{"type": [1]}',
            ]
        }
    )  # fmt: skip
    table = list_artifacts(replace(runs, tags=tagged))
    assert table.loc["x.txt"].tolist() == [2, "5 bytes", "2.5 kB", "text"]
    assert table.loc["images/eval, each step"].tolist() == [2, "1 bytes", "3 bytes", "image"]
    assert table["kind"].to_dict() == {
        "a/table.json": "table",
        "images/eval, each step": "image",
        "model/model.pkl": "model",
        "no_ending": "",
        "odd.zzz": "zzz",
        "x.txt": "text",
    }
    assert table.columns.name == "of 3 runs"


def test_what_is_not_listed_is_said(empty_store: Path) -> None:
    many: Files = {f"{number:03}.txt": "x" for number in range(250)}
    runs = load(empty_store, [many, *({"x.txt": "x"} for _ in range(59))])
    table = list_artifacts(runs)
    assert len(table) == 200
    assert table.columns.name == "200 of 251 paths; artifacts of 50 of 60 runs listed"
    cut = ArtifactList(files=runs.artifacts(run_id(0)).files[:3], cut=True)
    elsewhere = ArtifactList(problem="it is\nelsewhere")
    few = with_lists(runs.only([run_id(0), run_id(1)]), {run_id(0): cut, run_id(1): elsewhere})
    assert list_artifacts(few).columns.name == (
        "not all files of 1 run listed; 1 run not listed whole: it is⏎elsewhere"
    )


@dataclass
class Failing:
    """A store that lists nothing."""

    asked: int = 0

    def artifacts(self, run_id: str) -> ArtifactList:
        self.asked += 1
        raise ServerError("the server is gone")


def test_a_store_that_fails_is_not_asked_on(empty_store: Path) -> None:
    source: Any = Failing()
    runs = replace(load(empty_store, [{} for _ in range(30)]), source=source)
    table = list_artifacts(runs)
    assert (source.asked, len(table)) == (3, 0)
    assert "artifacts of 0 of 30 runs listed" in str(table.columns.name)
    assert "3 runs not listed whole: the server is gone" in str(table.columns.name)
    for shown in (compare_images(runs), compare_tables(runs), compare_texts(runs)):
        assert isinstance(shown, Note)
        assert "the server is gone" in shown.text


# --- images side by side -------------------------------------------------------------------------


def test_images_of_the_best_runs_stand_side_by_side(empty_store: Path) -> None:
    files: list[Files] = [{"p/a.png": image((n * 25, 0, 0))} for n in range(8)]
    files[2]["only.png"] = image()
    files[5]["p/b.png"] = files[7]["p/b.png"] = image("blue")
    runs = load(empty_store, files, [8.0 - n for n in range(8)])
    shown = compare_images(runs, "loss")
    assert isinstance(shown, Picture)
    assert shown.alt == (
        "Images of 6 runs side by side (r7, r6, r5, r4, r3, r2): p/a.png, p/b.png. "
        "6 of 8 runs that have them, the best by loss"
    )
    places = [np.flatnonzero((np.asarray(pixels(shown)) == c).all(axis=2).any(axis=0)) for c in
              ([175, 0, 0], [150, 0, 0], [50, 0, 0])]  # fmt: skip
    assert [place.size > 50 for place in places] == [True] * 3
    assert places[0].max() < places[1].min() < places[2].max()
    assert (0, 0, 255) in colours(shown)
    assert "the first" in repr(compare_images(runs))


def test_a_run_has_the_colour_that_it_has_in_every_chart(empty_store: Path) -> None:
    runs = load(empty_store, [{"a.png": image("white")} for _ in range(3)], [1.0, 2.0, 3.0])
    found = {colour for _, colour in pixels(compare_images(runs, "loss")).getcolors(9999) or ()}
    for style in run_styles(runs, "loss").values():
        assert tuple(bytes.fromhex(style.colour[1:])) in found


def test_an_image_that_is_broken_or_absent_leaves_its_place(empty_store: Path) -> None:
    runs = load(
        empty_store,
        [
            {"a.png": image("red"), "b.png": image("blue")},
            {"a.png": b"no image", "b.png": image("blue")},
            {"a.png": image("red")},
        ],
    )
    shown = compare_images(runs)
    assert "a.png of r1: cannot identify image file" in repr(shown)
    assert {(255, 0, 0), (0, 0, 255)} <= colours(shown)


def test_images_that_no_two_runs_have_are_not_compared(empty_store: Path) -> None:
    runs = load(empty_store, [{"x.png": image()}, {"y.png": image()}])
    shown = compare_images(runs)
    assert isinstance(shown, Note)
    assert "No two runs have an image of the same path" in shown.text


def test_of_images_with_steps_the_last_is_compared(empty_store: Path) -> None:
    def at(step: int, of: int) -> str:
        return f"images/eval+step+{step}+timestamp+17{of}+{of}{step}.png"

    runs = load(
        empty_store,
        [
            {at(1, 0): image("red"), at(10, 0): image("blue"), at(9, 0): image("red")},
            {at(2, 1): image("lime")},
        ],
    )
    shown = compare_images(runs)
    assert "images/eval, last step" in repr(shown)
    assert {(0, 0, 255), (0, 255, 0)} <= colours(shown)
    assert (255, 0, 0) not in colours(shown)


# --- tables --------------------------------------------------------------------------------------


def test_tables_of_one_path_are_joined(empty_store: Path) -> None:
    runs = load(
        empty_store,
        [
            {"e/t.json": split(["q", "ok"], [["a", True], ["b", False]]), "s.csv": "x,y\n1,2.5\n"},
            {"e/t.json": split(["q", "score"], [["a", 0.5]]), "s.csv": "x,y\n3,\n"},
            {"report.json": '{"accuracy": 1}'},
            {"report.json": '{"accuracy": 1}'},
        ],
    )
    whole = compare_tables(runs, "e/t.json")
    assert isinstance(whole, pd.DataFrame)
    assert whole["run"].tolist() == ["r0", "r0", "r1"]
    assert whole["q"].tolist() == ["a", "b", "a"]
    assert whole["ok"].tolist() == [True, False, None]
    assert whole["score"].isna().tolist() == [True, True, False]
    assert whole.attrs["left out"] == []
    numbers = compare_tables(runs, "s.csv")
    assert isinstance(numbers, pd.DataFrame)
    assert numbers["x"].tolist() == [1, 3]
    assert numbers["y"].isna().tolist() == [False, True]
    report = compare_tables(runs)
    assert isinstance(report, Report)
    assert [caption for caption, _ in report.tables] == ["s.csv", "e/t.json"]
    assert report.absent == "", "a report in JSON is no table that is missing"
    assert report.tables[1][1].index.tolist() == ["r0", "r0", "r1"]


def test_long_tables_of_many_runs_are_cut_and_said(empty_store: Path) -> None:
    rows = [[number, "x"] for number in range(1500)]
    runs = load(empty_store, [{"t.json": split(["n", "s"], rows)} for _ in range(8)])
    report = compare_tables(runs)
    assert isinstance(report, Report)
    ((caption, shown),) = report.tables
    assert caption == "t.json; 6 of 8 runs, the first; 30 of 9,000 rows, the first of each run"
    assert shown["n"].tolist() == [0, 1, 2, 3, 4] * 6
    whole = compare_tables(runs, "t.json")
    assert isinstance(whole, pd.DataFrame)
    assert len(whole) == 8000
    assert whole.attrs["left out"] == ["8,000 of 12,000 rows"]


def test_the_best_runs_come_first(empty_store: Path) -> None:
    runs = load(empty_store, [{"t.csv": "x\n1\n"} for _ in range(3)], [3.0, 1.0, 2.0])
    table = compare_tables(runs, "t.csv", metric="loss")
    assert isinstance(table, pd.DataFrame)
    assert table["run"].tolist() == ["r1", "r2", "r0"]


def test_what_may_not_be_opened_is_not(empty_store: Path) -> None:
    runs = load(empty_store, [{"m.pkl": b"\x80\x04.", "t.csv": "x\n1\n"} for _ in range(2)])
    assert "m.pkl is not opened" in repr(compare_tables(runs, "m.pkl"))
    with pytest.raises(NotFoundError, match=r"no run has a file absent.csv"):
        compare_tables(runs, "absent.csv")


BROKEN = {
    "not.json": b"{",
    "list.json": b"[1, 2]",
    "number.json": b"1",
    "ragged.json": b'{"columns": ["a"], "data": [[1], [1, 2]]}',
    "rows.json": b'{"columns": ["a"], "data": [1]}',
    "none.json": b'{"columns": [], "data": []}',
    "bytes.json": b"\xff\xfe\x00",
    "deep.json": b"[" * 1_000_000,
    "deep_cell.json": b'{"columns": ["a"], "data": [[' + b"[" * 100_000,
    "long_number.json": b'{"columns": ["a"], "data": [[' + b"1" * 100_000 + b"]]}",
    "wide.json": b'{"columns": [' + b"1," * 100_000 + b'1], "data": []}',
    "wide.csv": b"a," * 1_000_000 + b"\n",
    "ragged.csv": b"a,b\n1,2\n1\n",
    "field.csv": b"a\n" + b"x" * 1_000_000,
    "empty.csv": b"",
    "quote.csv": b'a,b\n"1,2\n3,4',
    "no.parquet": b"PAR1 and no more PAR1",
}


@pytest.mark.parametrize("path", BROKEN)
def test_a_broken_table_is_an_error_at_once(path: str) -> None:
    start = time.monotonic()
    with pytest.raises(ValueError, match=r"\w") as caught:
        parsed(path, BROKEN[path])
    assert isinstance(caught.value, NoTableError) == (path in ("list.json", "number.json"))
    assert time.monotonic() - start < 5


def test_broken_tables_are_said_and_the_rest_shown(empty_store: Path) -> None:
    good = split(["a"], [[1]])
    runs = load(
        empty_store,
        [
            {"t.json": good, "bad.csv": b"a,b\n1\n"},
            {"t.json": good[:-4], "bad.csv": b""},
            {"t.json": b"x" * 5_000_001},
        ],
    )
    report = compare_tables(runs)
    assert isinstance(report, Report)
    assert [caption for caption, _ in report.tables] == ["t.json; 1 of 3 runs, the first"]
    for said in (
        "t.json of r1: ",
        "t.json of r2: t.json has 5,000,001 bytes",
        "bad.csv of r0: row 1",
    ):
        assert said in report.absent
    assert "no table that can be read" in repr(compare_tables(runs, "bad.csv"))
    assert isinstance(compare_tables(runs.only([run_id(2)])), Note)


def test_cells_of_every_kind_are_data_and_nothing_else(empty_store: Path) -> None:
    cells: list[Any] = [
        *HOSTILE,
        {"type": "image"},
        [1],
        10**30,
        -1.5,
        None,
        True,
        "\ud800",
        "x" * 999,
    ]
    names = ["run", "run", "", "<b>", "n" * 300, *HOSTILE]
    data = split(names, [[cell] * len(names) for cell in cells])
    runs = load(empty_store, [{"t.json": data}, {"t.json": data}])
    whole = compare_tables(runs, "t.json")
    assert isinstance(whole, pd.DataFrame)
    assert len(set(whole.columns)) == len(whole.columns) == len(names) + 1
    assert list(whole.columns[:4]) == ["run", "run (2)", "run (3)", "(no name)"]
    report = compare_tables(runs)
    assert isinstance(report, Report)
    for text in (whole.to_html(), report._repr_html_(), repr(report)):
        assert not re.search("[\x00-\x08\x0b-\x1f\u202e\u2066\u200b\u2028\ud800]", text)
    assert not re.search(r"<(script|img|b)\b", whole.to_html() + report._repr_html_())
    assert "8 of 24 columns" in report.tables[0][0]


def test_parquet_is_read_to_its_first_rows_and_no_further_than_it_may_grow() -> None:
    def written(table: pa.Table) -> bytes:
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="gzip")
        return buffer.getvalue()

    table = parsed("t.parquet", written(pa.table({"a": range(3000), "b": ["x"] * 3000})))
    assert (table.rows, table.of_rows, table.columns["a"][-1]) == (1000, 3000, 999)
    bomb = written(pa.table({"a": pa.array(["x" * 1000] * 200_000).dictionary_encode()}))
    wide = pa.table({"a": pa.array(np.zeros(20_000_000))})
    buffer = io.BytesIO()
    pq.write_table(wide, buffer, compression="gzip", use_dictionary=False)
    assert len(bomb) < 100_000
    assert parsed("t.parquet", bomb).rows == 1000
    with pytest.raises(ValueError, match="unpacked it has 160,"):
        parsed("t.parquet", buffer.getvalue())


def test_numbers_in_csv_are_told_from_text() -> None:
    text = "a,b,c,d,e\n1,1.5,x,,1_0\n-2,nan,1,,2\n,inf,2,,3\n"
    columns = parsed("t.csv", text.encode()).columns
    assert columns["a"] == [1, -2, None]
    assert columns["b"] == pytest.approx([1.5, NAN, float("inf")], nan_ok=True)
    assert columns["c"] == ["x", "1", "2"]
    assert columns["d"] == [None, None, None]
    assert columns["e"] == ["1_0", "2", "3"]


# --- texts ---------------------------------------------------------------------------------------


def test_the_best_run_is_compared_with_the_baseline(empty_store: Path) -> None:
    runs = load(
        empty_store,
        [
            {"c.yaml": "lr: 0.1\nsame: 1\n", "same.txt": "x", "r.json": '{"a": 1, "b": [1, 2]}'},
            {"c.yaml": "lr: 9\nsame: 1\n", "same.txt": "x"},
            {"c.yaml": "lr: 0.01\nsame: 1\n", "same.txt": "x", "r.json": '{"a": 1, "b": [1, 3]}'},
        ],
        [2.0, 3.0, 1.0],
    )
    shown = compare_texts(runs, "loss")
    assert isinstance(shown, Preformatted)
    lines = repr(shown).splitlines()
    assert lines[:2] == ["r2 (loss 1) against r0 (loss 2).", "The same in both: same.txt."]
    assert [line for line in lines if line[:2] in ("- ", "+ ") or line[:3] in ("-lr", "+lr")] == [
        "-lr: 0.1", "+lr: 0.01", "-  2", "+  3",
    ]  # fmt: skip
    assert "r1" in repr(compare_texts(runs)).splitlines()[0]
    # The best against the next best, where it is the baseline itself.
    assert repr(compare_texts(runs, "loss", baseline="r2")).startswith("r0 (loss 2) against r2")
    with pytest.raises(NotFoundError):
        compare_texts(runs, "loss", baseline="absent")


def test_texts_that_are_odd_or_endless(empty_store: Path) -> None:
    draw = np.random.default_rng(0)
    long = ["\n".join(map(str, draw.integers(0, 9, 5000))) for _ in range(2)]
    runs = load(
        empty_store,
        [
            {"a.txt": "x\r\n", "big.txt": b"x" * 500_001, "deep.json": b"[" * 90_000,
             "long.txt": long[0], "no.md": b"\x00\xff", "w.txt": "y" * 9999},
            {"a.txt": "x\n", "big.txt": b"x", "deep.json": b"[" * 80_000,
             "long.txt": long[1], "no.md": b"\x00\xfe", "w.txt": "z" * 9999},
        ],
    )  # fmt: skip
    start = time.monotonic()
    shown = compare_texts(runs)
    assert time.monotonic() - start < 5
    assert isinstance(shown, Preformatted)
    text = repr(shown)
    assert len(shown.lines) < 150
    assert max(map(len, text.splitlines())) < 600
    for said in (
        "a.txt: the same but for blanks or ends of lines",
        "big.txt: big.txt has 500,001 bytes",
        "no.md: it is no text",
        "… 60 of",
        "(10,000 characters)",
    ):
        assert said in text


def test_nothing_in_a_text_is_active(empty_store: Path) -> None:
    runs = load(empty_store, [{"a.txt": "\n".join(HOSTILE)}, {"a.txt": "-- \n+++ x\n"}])
    markup = compare_texts(runs)._repr_html_()  # type: ignore[union-attr]
    assert set(re.findall(r"<\s*/?\s*([a-zA-Z0-9]+)", markup)) == {"pre", "span"}
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e\u2066\u200b\u2028]", markup)
    assert 'class="tex2jax_ignore mathjax_ignore"' in markup


def test_no_texts_make_a_note(empty_store: Path) -> None:
    runs = load(empty_store, [{"a.txt": "x"}, {"b.txt": "x"}])
    assert "No text of the same path: r1 against r0." in repr(compare_texts(runs))
    assert "there is one" in repr(compare_texts(runs.only([run_id(0)])))
    nothing = runs.only([])
    for shown in (compare_texts(nothing), compare_tables(nothing), compare_images(nothing)):
        assert isinstance(shown, Note)
    assert list_artifacts(nothing).empty
    assert listed(nothing, []).told == ()


# --- a server ------------------------------------------------------------------------------------


@pytest.mark.xdist_group("server")
def test_all_of_it_over_a_server(server: str) -> None:
    runs = ArtifactExplorer(server).load(Query())
    assert isinstance(compare_images(runs, "val_loss"), Picture | Note)
    assert isinstance(compare_tables(runs), Report | Note)
    table = list_artifacts(runs)
    assert table.loc["summary.txt", "runs"] >= 1

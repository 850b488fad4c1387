"""Data sets: the shipped ones are exact and fixed for good, any other table works or says why not."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pytest

import deltanb.datasets as ours
from deltanb._errors import DeltaError
from deltanb.datasets import TextData, as_text_data, load, names
from deltanb.datasets._split import fold, hold_out, hold_out_per_class, proportional

FOLDER = Path(ours.__file__).parent
SPLITS = {"movie_reviews": (8000, 2605), "product_reviews": (2781, 927), "news_editorials": (3893, 1297)}
# What a fresh process printed when the splits were made: a change here is a change of everybody's results.
FINGERPRINTS = {
    "movie_reviews": "307e2e7246362252",
    "product_reviews": "77b350651b0c5e7b",
    "news_editorials": "75b3af61693f3ed8",
}
PAIRS = [(f"good {i}", "pos") for i in range(30)] + [(f"bad {i}", "neg") for i in range(20)]


def raw(name: str) -> pd.DataFrame:
    """The packed file by another road than the package's."""
    with gzip.open(FOLDER / f"{name}.csv.gz", "rt", encoding="utf-8", newline="") as lines:
        return pd.read_csv(lines, dtype={"id": str, "text": str}, keep_default_na=False)


def fingerprint(data: TextData) -> str:
    rows = [*data.train["text"], "|", *data.test["text"], "|", *map(str, data.train["label"]), *map(str, data.test["label"])]
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]


def frame(**columns: Any) -> pd.DataFrame:
    usual: dict[str, Any] = {"text": [text for text, _ in PAIRS], "label": [label for _, label in PAIRS]}
    return pd.DataFrame(usual | columns)


def refused(obj: object, **options: Any) -> str:
    with pytest.raises(DeltaError) as caught:
        as_text_data(obj, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


# --- the shipped sets


@pytest.mark.parametrize("name", SPLITS)
def test_split_sizes_are_exact_and_cover_every_row_once(name: str) -> None:
    data = load(name)
    assert (len(data.train), len(data.test)) == SPLITS[name]
    assert sorted(data.df["text"]) == sorted(raw(name)["text"])
    assert data.train.features["label"].names == data.label_names == ["negative", "positive"]


@pytest.mark.parametrize("name", SPLITS)
def test_no_text_is_on_both_sides(name: str) -> None:
    data = load(name)
    assert not {fold(text) for text in data.train["text"]} & {fold(text) for text in data.test["text"]}


@pytest.mark.parametrize("threshold", [0.0, 0.5])
@pytest.mark.parametrize("name", SPLITS)
def test_labels_agree_with_a_recount_from_the_file(name: str, threshold: float) -> None:
    table = raw(name)
    table = table[table["score"].abs() >= threshold]
    data = load(name, threshold=threshold)
    assert len(data.df) == len(table)
    assert sum(data.train["label"]) + sum(data.test["label"]) == int((table["score"] > 0).sum())
    rows = data.df.sort_values(["text", "score"], ignore_index=True)
    assert rows[["text", "score"]].equals(table[["text", "score"]].sort_values(["text", "score"], ignore_index=True))
    assert (rows["label"] == (rows["score"] > 0)).all()


def test_the_test_rows_are_those_with_the_smallest_hashes() -> None:
    table = raw("movie_reviews")
    keys = [hashlib.sha256(f"{row.id}\0{row.text}".encode()).hexdigest() for row in table.itertuples()]
    table = table.assign(key=keys, folded=table["text"].str.lower())
    table["first"] = table.groupby("folded")["key"].transform("min")
    held = set(table.sort_values(["first", "key"])["key"][:2605])
    ranked = table.sort_values("key")
    data = load("movie_reviews")
    assert list(data.test["text"]) == ranked[ranked["key"].isin(held)]["text"].tolist()
    assert list(data.train["text"]) == ranked[~ranked["key"].isin(held)]["text"].tolist()


def test_a_threshold_moves_no_row_to_the_other_side() -> None:
    whole, part = load("news_editorials"), load("news_editorials", threshold=0.5)
    assert set(part.test["text"]) < set(whole.test["text"])
    assert set(part.train["text"]) < set(whole.train["text"])


def test_splits_are_the_same_in_a_fresh_process() -> None:
    code = "import sys; sys.path.insert(0, sys.argv[1]); import test_datasets as t; print(*[t.fingerprint(t.load(n)) for n in t.SPLITS])"
    environment = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": str(FOLDER.parent.parent)}
    command = [sys.executable, "-c", code, str(Path(__file__).parent)]
    done = subprocess.run(command, env=environment, capture_output=True, check=True, text=True)
    assert done.stdout.split() == list(FINGERPRINTS.values()) == [fingerprint(load(name)) for name in SPLITS]


def test_files_are_packed_reproducibly_and_the_licence_travels() -> None:
    for name in names():
        packed = (FOLDER / f"{name}.csv.gz").read_bytes()
        assert packed[3:8] == bytes(5), "no file name, no time stamp"
    assert "Copyright (c) 2014 C.J. Hutto" in (FOLDER / "LICENSE-reviews.txt").read_text(encoding="utf-8")
    assert "ICWSM" in load("movie_reviews").source


@pytest.mark.parametrize(
    ("name", "threshold", "part"),
    [
        ("movie_review", 0.0, "Nearest: movie_reviews"),
        ("imdb", 0.0, "Known: movie_reviews, product_reviews, news_editorials"),
        ("movie_reviews", -1, "threshold"),
        ("movie_reviews", float("nan"), "threshold"),
        ("movie_reviews", "high", "threshold"),
        ("movie_reviews", 3.99, "too few for two classes"),
        (["movie_reviews"], 0.0, "No data set"),
    ],
)
def test_a_wrong_name_or_threshold_is_refused(name: Any, threshold: Any, part: str) -> None:
    with pytest.raises(DeltaError, match=part):
        load(name, threshold)


# --- TextData


def test_limit_keeps_proportions_order_and_the_test_split() -> None:
    data = load("movie_reviews")
    small = data.limit(1000)
    share = sum(data.train["label"]) / len(data.train)
    assert len(small.train) == 1000
    assert abs(sum(small.train["label"]) - 1000 * share) <= 1
    chosen = set(small.train["text"])
    assert list(small.train["text"]) == [text for text in data.train["text"] if text in chosen]
    assert small.test is data.test
    assert small.df["score"].notna().all()
    assert (small.df["label"] == (small.df["score"] > 0)).all()


def test_limit_is_fixed_by_its_seed() -> None:
    data = load("product_reviews")
    first = list(data.limit(50).train["text"])
    assert first == list(data.limit(50).train["text"]) != list(data.limit(50, seed=1).train["text"])
    assert data.limit(10**6) is data


@pytest.mark.parametrize("rows", [0, -1, 1, "abc", 2.5, True, None])
def test_limit_refuses_what_is_no_number_of_rows(rows: Any) -> None:
    with pytest.raises(DeltaError, match=r"A whole number from 2 .* to 2,781"):
        load("product_reviews").limit(rows)


def test_df_has_scores_only_where_they_are_known() -> None:
    assert list(load("product_reviews").df.columns) == ["split", "text", "label", "score"]
    assert list(as_text_data(PAIRS).df.columns) == ["split", "text", "label"]


def test_repr_is_two_lines() -> None:
    assert repr(load("movie_reviews")).splitlines()[0] == "TextData 'movie_reviews': 8,000 train, 2,605 test; negative 51 %, positive 49 %"
    many = as_text_data([(f"{i} {j}", i) for i in range(9) for j in range(10)])
    assert "… (9 classes)" in repr(many)
    assert len(repr(many).splitlines()) == 2


# --- splitting


def test_equal_texts_stay_together_and_counts_are_met() -> None:
    texts = ["a", "A ", "b", "c", "d"]
    assert hold_out(["0", "9", "1", "2", "3"], texts, 1) == {2}
    assert hold_out(["0", "9", "1", "2", "3"], texts, 3) == {0, 1, 2}


def test_every_class_keeps_a_text_for_training() -> None:
    assert hold_out_per_class("abcd", "wxyz", [0, 0, 1, 1], 0.99) == {0, 2}


@pytest.mark.parametrize("total", range(3, 61))
def test_shares_add_up(total: int) -> None:
    sizes = {0: 50, 1: 9, 2: 1}
    shares = proportional(sizes, total)
    assert sum(shares.values()) == total
    assert all(1 <= shares[key] <= sizes[key] for key in sizes)


# --- anything


def written(folder: Path, kind: str) -> Path:
    path = folder / f"mine{kind}"
    table = frame()
    match kind:
        case ".csv" | ".csv.gz":
            table.to_csv(path, index=False)
        case ".tsv":
            table.to_csv(path, index=False, sep="\t")
        case ".json":
            path.write_text(json.dumps(table.to_dict("records")), encoding="utf-8")
        case ".jsonl":
            path.write_text("\n".join(map(json.dumps, table.to_dict("records"))), encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", [".csv", ".csv.gz", ".tsv", ".json", ".jsonl"])
def test_files_give_the_same_task_as_the_pairs(tmp_path: Path, kind: str) -> None:
    path = written(tmp_path, kind)
    data, same = as_text_data(str(path)), as_text_data(path)
    assert data.name == "mine"
    assert fingerprint(data) == fingerprint(same) == fingerprint(as_text_data(PAIRS))


@pytest.mark.parametrize(
    "obj",
    [
        frame(),
        frame().to_dict("list"),
        frame().to_dict("records"),
        datasets.Dataset.from_pandas(frame()),
        datasets.Dataset.from_pandas(frame()).with_format("numpy"),
        [list(pair) for pair in PAIRS],
        frame().sample(frac=1, random_state=3),
        {"train": frame()},
    ],
    ids=["frame", "columns", "records", "dataset", "formatted", "lists", "shuffled", "only train"],
)
def test_every_kind_of_table_gives_the_same_task(obj: object) -> None:
    data = as_text_data(obj, name="films")
    assert (len(data.train), len(data.test), data.label_names, data.name) == (40, 10, ["neg", "pos"], "films")
    assert sum(data.test["label"]) == 6
    assert fingerprint(data) == fingerprint(as_text_data(PAIRS))


def test_text_data_and_names_pass_through() -> None:
    data = load("movie_reviews")
    assert as_text_data(data) is data
    assert as_text_data(data, name="films").name == "films"
    assert fingerprint(as_text_data("product_reviews")) == fingerprint(load("product_reviews"))


@pytest.mark.parametrize(
    ("labels", "label_names"),
    [
        ([10, 9] * 25, ["9", "10"]),
        ([True, False] * 25, ["False", "True"]),
        (np.array([1, 0] * 25), ["0", "1"]),
        ([np.int64(3), np.int64(-3)] * 25, ["-3", "3"]),
        (pd.Categorical(["b", "a"] * 25), ["a", "b"]),
    ],
)
def test_labels_are_numbered_in_sorted_order(labels: Any, label_names: list[str]) -> None:
    data = as_text_data(frame(label=labels))
    assert data.label_names == label_names
    rows = data.df.merge(frame(label=labels), on="text")
    assert [data.label_names[number] for number in rows["label_x"]] == [str(label) for label in rows["label_y"]]


def test_class_labels_keep_their_names_and_numbers() -> None:
    features = datasets.Features({"sentence": datasets.Value("string"), "label": datasets.ClassLabel(names=["sad", "angry", "glad"])})
    rows = datasets.Dataset.from_dict({"sentence": [f"s{i}" for i in range(20)], "label": [0, 2] * 10}, features=features)
    data = as_text_data(rows)
    assert data.label_names == ["sad", "angry", "glad"]
    assert set(data.train["label"]) == {0, 2}


def test_given_splits_are_kept_and_an_unlabelled_test_split_is_passed_over() -> None:
    names_ = datasets.ClassLabel(names=["neg", "pos"])
    features = datasets.Features({"text": datasets.Value("string"), "label": names_})

    def part(word: str, labels: list[int]) -> datasets.Dataset:
        return datasets.Dataset.from_dict({"text": [f"{word} {i}" for i in range(len(labels))], "label": labels}, features=features)

    splits = datasets.DatasetDict(test=part("c", [-1] * 4), train=part("a", [0, 1] * 5), validation=part("b", [1, 0]))
    data = as_text_data(splits)
    assert list(data.train["text"]) == [f"a {i}" for i in range(10)]
    assert list(data.test["text"]) == ["b 0", "b 1"]


def test_texts_shared_by_given_splits_are_pointed_out() -> None:
    data = as_text_data({"train": frame(), "test": frame().iloc[[0, 40]]})
    assert data.source.endswith("2 of 2 test texts are also in the training split")


def test_our_own_split_never_leaks_a_repeated_text() -> None:
    data = as_text_data(frame(text=[f"Same {i % 7}" if i % 2 else f"same  {i % 7}" for i in range(50)]), test_fraction=0.4)
    assert not {fold(text) for text in data.train["text"]} & {fold(text) for text in data.test["text"]}


def test_columns_can_be_named() -> None:
    table = frame().rename(columns={"text": "was sagt er", "label": "urteil"})
    assert len(as_text_data(table, text="was sagt er", label="urteil").train) == 40
    message = refused(table, text="was sagt", label="urteil")
    assert "Columns found: was sagt er, urteil." in message
    assert "Nearest: was sagt er" in message


def test_the_word_na_is_a_text_and_an_empty_cell_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("text,label\n" + "".join(f"NA {i},yes\nnull,no\n" for i in range(10)) + "NA,yes\n", encoding="utf-8")
    assert "NA" in set(as_text_data(path).df["text"])
    path.write_text("text,label\nA,1\n,0\n", encoding="utf-8")
    assert "1 of 2 rows of the file mine.csv has no text in 'text' (the first is row 1" in refused(path)


@pytest.mark.parametrize(
    ("obj", "options", "part"),
    [
        (
            pd.DataFrame({"a": ["x"], "b": [1]}),
            {},
            'Columns found: a, b. Usual names: text, sentence, review, content, comment, … Try: say which: text="',
        ),
        (frame().rename(columns={"label": "b"}), {}, "Which column of the DataFrame holds the labels is not clear."),
        (frame(), {"label": "lable"}, "Nearest: label"),
        (frame().iloc[:0], {}, "The DataFrame has no rows."),
        ([], {}, "The list has no rows."),
        ({}, {}, "Columns found: none."),
        (
            frame(label=["a", None] * 25),
            {},
            "25 of 50 rows of the DataFrame have no label in 'label' (the first is row 1, counting from 0).",
        ),
        (frame(label=[1.0, float("nan")] * 25), {}, "have no label"),
        (frame(label=pd.array([1, None] * 25, dtype="Int64")), {}, "have no label"),
        (frame(text=["a", None] * 25), {}, "25 of 50 rows of the DataFrame have no text"),
        (frame(text=["a", "  "] * 25), {}, "have no text"),
        (frame(text=range(50)), {}, "holds int (row 0: '0'), not text"),
        (frame(text=[["a", "b"]] * 50), {}, "holds list"),
        (frame(label=["same"] * 50), {}, "one class only: 'same'"),
        (frame(label=np.linspace(0, 1, 50)), {}, "holds floats (row 0: 0.0)"),
        (frame(label=[1.0, 0.0] * 25), {}, "holds floats"),
        (frame(label=[1, "one"] * 25), {}, "mixes int (row 0) and str (row 1)"),
        (frame(label=[[1]] * 50), {}, "holds list"),
        (frame(label=[f"review number {i}" for i in range(50)]), {}, "50 different values in 50 rows"),
        (["good", "bad"], {}, "Row 0 of the list is 'good', not a (text, label) pair."),
        ([("good", 1), ("bad", 0, 3)], {}, "Row 1 of the list is ('bad', 0, 3)"),
        ([("pos", 1), "no"], {}, "Row 1 of the list is 'no'"),
        ([(1, "good"), (0, "bad")], {}, "The pairs are (label, text)."),
        ({"text": ["a"], "label": [1, 2]}, {}, "each must be a list, all of one length"),
        ({"text": "a", "label": 1}, {}, "each must be a list, all of one length"),
        ({"test": frame(), "dev": frame()}, {}, "There is no split 'train' among test, dev."),
        ({"train": frame(), "test": frame(label=[1, 0] * 25)}, {}, "labels of split 'train' and split 'test' are of different kinds"),
        ({"train": frame(label=["a"] * 50), "test": frame()}, {}, "one class only: 'a'"),
        ({"train": frame(), "test": frame(label=["neg", None] * 25)}, {}, "of the split 'test' have no label"),
        ([("a", 1), ("b", 0)], {}, "too few to hold out 20% of each class"),
        (42, {}, "int is not a kind of data that can be trained on. A shipped name, a path"),
        (None, {}, "NoneType is not a kind of data"),
        (datasets.Dataset.from_pandas(frame()).to_iterable_dataset(), {}, "streaming"),
        (frame(), {"test_fraction": 0}, "test_fraction=0 is not usable"),
        (frame(), {"test_fraction": 1.0}, "between 0 and 1"),
        (frame(), {"test_fraction": "a fifth"}, "between 0 and 1"),
        (frame(), {"seed": 0.5}, "seed=0.5 is not usable"),
    ],
)
def test_bad_data_is_refused_in_one_paragraph(obj: object, options: dict[str, Any], part: str) -> None:
    assert part in refused(obj, **options)


@pytest.mark.parametrize(
    ("file", "content", "part"),
    [
        ("a.csv", b"", "cannot be read as .csv: No columns to parse from file."),
        ("a.csv", b"text,label\n", "has no rows"),
        ("a.csv", "text,label\nschön,1\n".encode("latin-1"), "cannot be read as .csv: 'utf-8' codec can't decode"),
        ("a.csv", b"text,label\ngood, bad,1\nfine, fine,0\n", "a text with a comma stands in quotes"),
        ("a.csv", b"text,label\ngood,1\nfine, fine,0\n", "a text with a comma stands in quotes"),
        ("a.csv", b"\x00\x01\x02\xff\xfe", "cannot be read"),
        ("a.csv.gz", b"no gzip", "cannot be read as .csv"),
        ("a.json", b"{", "cannot be read as .json"),
        ("a.json", b"3", "it holds one int, not rows"),
        ("a.jsonl", b'["a", 1]\n', "each line must be an object"),
        ("a.jsonl", b"text,label\n", "cannot be read as .jsonl"),
        ("a.xlsx", b"PK", "has the ending .xlsx, which is not read. Read are .csv, .tsv, .json, .jsonl"),
        ("a", b"text,label\n", "has the ending (none)"),
    ],
)
def test_an_unreadable_file_is_refused_in_one_paragraph(tmp_path: Path, file: str, content: bytes, part: str) -> None:
    path = tmp_path / file
    path.write_bytes(content)
    assert part in refused(path)


def test_a_missing_file_names_its_neighbours_and_the_shipped_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, ".csv")
    monkeypatch.chdir(tmp_path)
    assert "Nearest: mine.csv." in refused("mien.csv")
    assert "Nearest: movie_reviews" in refused("movie_revews")
    assert "There is no data set and no file 'nowhere/mine.csv'" in refused("nowhere/mine.csv")
    assert "is a folder. A file is needed. Tables in it: mine.csv." in refused(tmp_path)

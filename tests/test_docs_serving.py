"""What docs/serving.md says is true: its example runs, its table names the types as the pool treats them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import deltanb
from deltanb.engine import DELTA_TYPES
from deltanb.serving._app import _MOST_ROWS, MOST_BYTES
from tests.test_serving import batch, saved, sharp
from tests.tiny_text import Tiny, tiny_tokenizer

if TYPE_CHECKING:
    import pytest

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "serving.md").read_text(encoding="utf-8")


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = sharp()
    for seed, name in enumerate(("films", "news")):
        saved(model, "lora", tmp_path / "deltas" / name, seed)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(deltanb, "load_backbone", lambda _: Tiny(model, tiny_tokenizer()), raising=False)
    code = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert code is not None
    head, word, tail = code[1].partition("pool.load(")
    space: dict[str, Any] = {"batch": batch(3)}
    exec(head.replace("model.generate(", "model("), space)  # noqa: S102
    assert space["pool"].names == ["films", "news"]
    assert space["answers"].df["delta"].tolist() == ["films", None, "news"]
    assert len(space["output"].logits) == 3
    saved(model, "lora", tmp_path / "deltas" / "newest", 5)
    exec(word + tail, space)  # noqa: S102
    assert space["pool"].names == ["films", "newest"]


def test_the_table_says_which_types_share_a_pass(tmp_path: Path) -> None:
    section = re.search(r"## What shares a forward pass\n(.*?)\n## ", PAGE, re.DOTALL)
    assert section is not None
    rows = re.findall(r"^\| ([^|]+) \| (yes|no) \|", section[1], re.MULTILINE)
    told = {kind: answer == "yes" for names, answer in rows for kind in names.split(", ") if kind in DELTA_TYPES}
    assert told.keys() == DELTA_TYPES.keys()
    model = sharp()
    pool = deltanb.DeltaPool(model)
    for kind, together in told.items():
        saved(model, kind, tmp_path / kind, 1)
        pool.load(kind, tmp_path / kind)
        assert (kind not in pool.alone) == together


def test_the_limits_are_the_apps() -> None:
    assert f"{MOST_BYTES // 1024} kB" in PAGE
    assert f"at most {_MOST_ROWS} answers" in PAGE

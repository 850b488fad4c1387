"""What docs/checkpoints.md says is true: its example runs, its lists are the code's."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from deltanb.checkpoints import _adapters_places, peft
from deltanb.checkpoints._peft_forms import FORMS
from deltanb.checkpoints._peft_lora import REBUILDING, REFUSED

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "checkpoints.md").read_text(encoding="utf-8")


def test_the_example_runs_and_prints_what_is_shown(tmp_path: Path) -> None:
    code, shown = (re.search(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL) for kind in ("python", "text"))
    assert code is not None
    assert shown is not None
    done = subprocess.run([sys.executable, "-c", code[1]], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == shown[1]


def test_types_and_settings_are_those_of_the_code() -> None:
    read = re.search(r"## PEFT: what is read(.*?)## PEFT", PAGE, re.DOTALL)
    assert read is not None
    assert set(re.findall(r"^\| ([A-Z0-9_]+) \|", read[1], re.MULTILINE)) == set(peft.READERS)
    assert all(f"`{name}`" in read[1] for name in (*REFUSED, *REBUILDING))
    written = re.search(r"## PEFT: what is written\n\n(.*?), with heads", PAGE)
    assert written is not None
    assert re.findall(r"`(\w+)`", written[1]) == list(FORMS)


def test_the_families_are_those_of_the_code() -> None:
    words = {"bert": "BERT", "roberta": "RoBERTa", "xlm-roberta": "XLM-RoBERTa", "electra": "ELECTRA", "bart": "BART", "gpt2": "GPT-2"}
    assert _adapters_places.families() == list(words)
    assert f"Names and places of {', '.join(list(words.values())[:-1])} and {words['gpt2']}." in " ".join(PAGE.split())

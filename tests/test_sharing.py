"""Sharing over a hub: what goes up, what comes down, and that it computes the same in another process."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import BertForSequenceClassification

import deltanb
from deltanb import AdapterModel, AutoDeltaConfig, AutoDeltaModel, LoraModel
from deltanb._errors import DeltaError
from deltanb.magics._parse import parse
from deltanb.sharing._metadata import pipeline_tag
from deltanb.workbench import Step, Workbench
from tests.hub_server import HubServer
from tests.models import bert, learn, output_of
from tests.test_workbench import ROWS, fresh

if TYPE_CHECKING:
    from collections.abc import Iterator

PEFT = Path(__file__).parent / "fixtures" / "peft"
FILES = [".gitattributes", "README.md", "config.json", "model.safetensors", "structure.svg"]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    """A hub that this process talks to, logged in as ann, with an empty cache."""
    with HubServer() as server:
        for name, value in {
            "ENDPOINT": server.url,
            "HUGGINGFACE_CO_URL_TEMPLATE": server.url + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HUB_OFFLINE": False,
            "HF_HOME": str(tmp_path / "home"),
            "HF_HUB_DISABLE_XET": True,
            "HF_TOKEN_PATH": str(tmp_path / "token"),
        }.items():
            monkeypatch.setattr(f"huggingface_hub.constants.{name}", value)
        monkeypatch.setenv("HF_TOKEN", "hf_ann")
        monkeypatch.chdir(tmp_path)
        yield server


@pytest.fixture
def delta() -> AdapterModel:
    """A trained adapter and the classifier that it trained with."""
    made = AdapterModel(bert(), modified_modules=["output.dense"], bottleneck_dim=2)
    made.freeze_module(exclude=["deltas", "classifier"])
    learn(made)
    return made


def card_of(hub: HubServer, repo: str = "ann/reviews") -> tuple[dict[str, Any], str]:
    """Metadata and text of a card."""
    _, head, text = hub.repositories[repo].files["README.md"].decode().split("---\n", 2)
    return yaml.safe_load(head), text


# Up ----------------------------------------------------------------------------------------------------------------------


def test_a_push_uploads_the_delta_its_card_and_its_picture_and_no_more(hub: HubServer, delta: AdapterModel) -> None:
    pushed = deltanb.push(delta, "ann/reviews", private=True)
    repository = hub.repositories["ann/reviews"]
    assert sorted(repository.files) == FILES
    assert pushed.files == FILES[1:]
    assert (repository.private, pushed.private) == (True, True)
    assert (pushed.url, pushed.commit) == (f"{hub.url}/ann/reviews", repository.sha)
    assert repository.messages[1:] == [f"adapter 'adapter', by deltanb {deltanb.__version__}"]
    assert ET.fromstring(repository.files["structure.svg"]).tag.endswith("svg")  # noqa: S314 (our own picture)


def test_the_same_again_makes_no_commit_and_a_change_makes_one(hub: HubServer, delta: AdapterModel) -> None:
    deltanb.push(delta, "reviews")
    repository = hub.repositories["ann/reviews"]
    uploads = len(hub.asked("/lfs/"))
    again = deltanb.push(delta, "ann/reviews")
    assert (again.files, again.commit, len(repository.commits)) == ([], repository.sha, 2)
    assert len(hub.asked("/lfs/")) == uploads
    learn(delta)
    assert deltanb.push(delta, "ann/reviews", message="better").files == ["config.json", "model.safetensors"]
    assert repository.messages[2:] == ["better"]


def test_a_persons_own_text_and_metadata_outlive_the_next_push(hub: HubServer, delta: AdapterModel) -> None:
    deltanb.push(delta, "ann/reviews", license="mit")
    repository = hub.repositories["ann/reviews"]
    edited = repository.files["README.md"].decode().replace("tags:\n", "language: en\ntags:\n- films\n") + "\nMy own words.\n"
    repository.commit({"README.md": edited.encode()})
    learn(delta)
    deltanb.push(delta, "ann/reviews", datasets=["ann/films"])
    metadata, text = card_of(hub)
    assert (metadata["language"], metadata["license"], metadata["datasets"]) == ("en", "mit", ["ann/films"])
    assert metadata["tags"][:2] == ["films", "delta-tuning"]
    assert text.rstrip().endswith("My own words.")
    assert text.count("## Parameters") == 1
    repository.commit({"README.md": b"All mine.\n"})
    learn(delta)
    assert deltanb.push(delta, "ann/reviews").notes == ["the card there is a text of your own: only its metadata was brought up to date"]
    assert card_of(hub)[1].strip() == "All mine."


def test_save_finetuned_pushes_what_it_saves(hub: HubServer, delta: AdapterModel, tmp_path: Path) -> None:
    delta.save_finetuned("mine", push_to_hub=True, private=True)
    delta.save_finetuned("mine", push_to_hub="ann/other")
    assert {name: repository.private for name, repository in hub.repositories.items()} == {"ann/mine": True, "ann/other": False}
    for name in ("config.json", "model.safetensors"):
        assert hub.repositories["ann/other"].files[name] == (tmp_path / "mine" / name).read_bytes()


# The card ----------------------------------------------------------------------------------------------------------------


def test_the_cards_numbers_are_the_models(hub: HubServer, delta: AdapterModel) -> None:
    deltanb.push(delta, "ann/reviews")
    _, text = card_of(hub)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| ")]
    by_module = rows[[row[0] for row in rows].index("module") + 2 :]
    numbers = [[int(cell.replace(",", "")) for cell in row[2:]] for row in by_module]
    assert [sum(column) for column in zip(*numbers[:-1], strict=True)] == numbers[-1]
    parameters = list(delta.backbone_model.parameters())
    assert numbers[-1][1] == sum(p.numel() for p in parameters)
    assert numbers[-1][2] == sum(p.numel() for p in parameters if p.requires_grad)
    assert f"{sum(t.numel() for t in delta.tensors().values())} parameters" in text
    assert "with the backbone's `classifier` as trained with it" in text


def test_a_card_is_plain_markdown_with_what_a_reader_needs(hub: HubServer, delta: AdapterModel) -> None:
    delta.backbone_model.config.name_or_path = "google-bert/bert-base-uncased"
    deltanb.push(delta, "ann/reviews")
    metadata, text = card_of(hub)
    assert metadata == {
        "base_model": "google-bert/bert-base-uncased",
        "library_name": "deltanb",
        "pipeline_tag": "text-classification",
        "tags": ["delta-tuning", "parameter-efficient-fine-tuning", "adapter", "bert"],
    }
    assert "frozen | all but deltas, classifier" in text
    assert "](structure.svg)" in text
    assert not re.search(r"<(?!details>|/details>|summary>|/summary>|!--)", text.split("```")[0] + text.split("```")[2])
    assert "No licence has been chosen for this delta yet." in text
    code = text.split("```python\n")[1].split("```")[0]
    compile(code, "card", "exec")
    assert 'BertForSequenceClassification.from_pretrained("google-bert/bert-base-uncased")' in code


@pytest.mark.parametrize("path", ["/home/ann/secret/<script>|x", "../secret/x", "runs/secret/x"])
def test_names_cannot_break_out_of_a_card_nor_say_where_a_model_was(path: str, hub: HubServer) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2))
    model.config = type("Config", (), {"name_or_path": path})()
    deltanb.push(LoraModel(model, modified_modules=["0"]), "ann/odd")
    uploaded = b"".join(hub.repositories["ann/odd"].files.values())
    assert b"secret" not in uploaded
    assert "<script>" not in card_of(hub, "ann/odd")[1]


@pytest.mark.parametrize(
    ("kind", "tag"),
    [
        ("T5ForConditionalGeneration", "text2text-generation"),
        ("GPT2LMHeadModel", "text-generation"),
        ("ViTForImageClassification", "image-classification"),
        ("Wav2Vec2ForSequenceClassification", "audio-classification"),
        ("Sequential", ""),
    ],
)
def test_the_hubs_word_for_a_task(kind: str, tag: str) -> None:
    assert pipeline_tag(kind) == tag


def test_every_line_of_the_page_is_understood() -> None:
    page = (Path(deltanb.__file__).parent.parent / "docs" / "sharing.md").read_text(encoding="utf-8")
    lines = re.findall(r"^%delta (.*)$", page, flags=re.MULTILINE)
    assert [parse(line, {}).verb.name for line in lines] == ["push", "load", "pull"]
    for code in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL):
        compile(code, "page", "exec")


# Down --------------------------------------------------------------------------------------------------------------------

# A notebook of another person: pull, load twice, and what its model says; then the same with the network gone.
OTHER = """
import json, os, urllib.request
import torch
from IPython.core.interactiveshell import InteractiveShell
from tests.models import bert, output_of
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "deltanb")
shell.user_ns["tiny"] = bert()
said = [str(shell.run_line_magic("delta", line)) for line in ("backbone tiny", "load ann/reviews", "load ann/reviews", "pull ann/reviews",
    "pull ann/reviews", "code")]
logits = output_of(shell.user_ns["tiny"]).tolist()
urllib.request.urlopen(os.environ["HF_ENDPOINT"] + "/stop")
import deltanb, warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    deltanb.load("ann/reviews", bert())
print(json.dumps([said, logits, [str(warning.message) for warning in caught], sorted(os.listdir("reviews"))]))
"""


@pytest.mark.slow
def test_what_one_process_pushes_computes_the_same_in_another(hub: HubServer, delta: AdapterModel, tmp_path: Path) -> None:
    deltanb.push(delta, "ann/reviews", private=True)
    hub.requests.clear()
    environment = hub.environment(tmp_path / "other", "hf_reader")
    done = subprocess.run(
        [sys.executable, "-c", OTHER], env=environment, cwd=tmp_path, capture_output=True, check=False, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    said, logits, warned, pulled = json.loads(done.stdout.splitlines()[-1])
    assert torch.equal(torch.tensor(logits), output_of(delta.backbone_model))
    assert said[1].startswith("Loaded adapter from ann/reviews.")
    assert "all but deltas, classifier" in said[1]
    assert "kept as it is" in said[2]
    assert said[3].startswith("Pulled ann/reviews.")
    assert said[4].startswith("reviews is what the hub has as ann/reviews already.")
    assert "deltanb.load('ann/reviews', model, name='adapter')" in said[5]
    assert "deltanb.pull('ann/reviews', 'reviews')" in said[5]
    assert [text for text in warned if text.startswith("the hub is out of reach: ann/reviews is as it was when it was downloaded last")]
    assert pulled == ["config.json", "model.safetensors"]
    assert "hf_reader" not in done.stdout + done.stderr
    assert {path.rpartition("/")[2] for path in hub.asked("/resolve/")} == {"config.json", "model.safetensors"}


def test_a_repository_is_read_wherever_a_folder_is(hub: HubServer, delta: AdapterModel, tmp_path: Path) -> None:
    deltanb.push(delta, "ann/reviews")
    first = hub.repositories["ann/reviews"].sha
    before = output_of(delta.backbone_model)
    learn(delta)
    deltanb.push(delta, "ann/reviews")
    assert AutoDeltaConfig.from_finetuned("ann/reviews") == delta.config
    old = bert()
    AutoDeltaModel.from_finetuned("ann/reviews", backbone_model=old, revision=first)
    assert torch.equal(output_of(old), before)
    new = bert()
    AdapterModel.from_finetuned("ann/reviews", new)
    assert torch.equal(output_of(new), output_of(delta.backbone_model))
    (tmp_path / "ann").mkdir()
    hub.requests.clear()
    with pytest.raises(DeltaError, match="The folder 'ann/reviews' is not there"):
        deltanb.load("ann/reviews", bert())
    assert not hub.requests


@pytest.mark.parametrize("name", ["peft_lora_bert", "adapters_houlsby_bert"])
def test_what_other_libraries_wrote_is_read_if_it_is_safetensors(name: str, hub: HubServer) -> None:
    """Their logits lie beside their weights, and are not downloaded."""
    model = BertForSequenceClassification.from_pretrained(PEFT / "base_bert").eval()
    hub.add("bob/theirs", {path.name: path.read_bytes() for path in (PEFT / name).iterdir()})
    deltanb.load("bob/theirs", model)
    inputs = load_file(PEFT / "base_bert" / "io.safetensors")
    logits = output_of(model, input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])
    assert torch.allclose(logits, load_file(PEFT / name / "io.safetensors")["logits"], atol=1e-5)
    assert not hub.asked("io.safetensors")


@pytest.mark.usefixtures("hub")
def test_a_pull_never_changes_what_is_there(delta: AdapterModel, tmp_path: Path) -> None:
    deltanb.push(delta, "ann/reviews")
    place = deltanb.pull("ann/reviews", "mine")
    assert deltanb.pull("ann/reviews", "mine") == place
    learn(delta)
    delta.save_finetuned(place)
    saved = (place / "model.safetensors").read_bytes()
    with pytest.raises(DeltaError, match="is not what the hub has") as caught:
        deltanb.pull("ann/reviews", "mine")
    assert caught.value.try_ == "%delta pull ann/reviews mine-2"
    assert (place / "model.safetensors").read_bytes() == saved
    (tmp_path / "empty").mkdir()
    assert sorted(path.name for path in deltanb.pull("ann/reviews", "empty").iterdir()) == ["config.json", "model.safetensors"]


# In a notebook -----------------------------------------------------------------------------------------------------------


def test_a_run_is_on_the_card_of_the_delta_that_learned(hub: HubServer, tmp_path: Path) -> None:
    Path("rows.csv").write_text("text,label\n" + "".join(f'"{text}",{label}\n' for text, label in ROWS))
    bench = Workbench()
    bench.backbone("bert-tiny", random=True)
    bench.attach("lora", ["query", "value"], r=2)
    bench.freeze(["deltas", "classifier"])
    bench.train(str(tmp_path / "rows.csv"), max_steps=2, batch_size=8, display=False)
    said = bench.push("ann/reviews", license="mit")
    assert said.facts["seen by"] == "everybody"
    files = hub.repositories["ann/reviews"].files
    assert ET.fromstring(files["training.svg"]).tag.endswith("svg")  # noqa: S314 (our own picture)
    metadata, text = card_of(hub)
    assert metadata["license"] == "mit"
    assert f"accuracy | {bench.result.accuracy:.3f} |" in text
    assert "| steps | 2 |" in text
    assert "Labels, in order: 0, 1." in text
    assert str(tmp_path) not in text
    assert 'model = deltanb.load_backbone("bert-tiny", random=True, num_labels=2).model' in text
    assert bench.push("ann/reviews", license="mit").title == "ann/reviews is on the hub already, just so: no new commit."
    bench.attach("bitfit", ["key"], name="other")
    bench.push("ann/other", "other")
    assert "## Training" not in card_of(hub, "ann/other")[1]
    assert "Also attached when this was drawn, and not in this repository: lora." in card_of(hub, "ann/other")[1]


def test_a_run_belongs_to_what_was_there_and_learned() -> None:
    bench = Workbench()
    fresh(bench)
    bench.attach("lora", ["query"])
    bench.attach("adapter", ["output.dense"])
    lora, frozen = bench.attached.values()
    run = Step("train", "", now=bench._snapshot(), values_then=dict(lora.tensors()))
    bench.steps.append(run)
    bench.attach("bitfit", ["key"])
    assert [bench._run_of(delta) for delta in (lora, frozen, bench.attached["bitfit"])] == [run, None, None]
    run.values_then.clear()  # too much to keep: all that were there may have learned
    assert [bench._run_of(delta) for delta in (lora, frozen, bench.attached["bitfit"])] == [run, run, None]


def test_the_script_pushes_just_the_same_and_has_no_token(hub: HubServer) -> None:
    bench = Workbench()
    bench.backbone("bert-tiny", random=True)
    bench.attach("lora", ["query", "value"], r=2)
    bench.push("ann/reviews", private=True)
    code = bench.code()
    assert "deltanb.push(lora, 'ann/reviews', backbone=" in code
    assert "hf_" not in code
    commits = len(hub.repositories["ann/reviews"].commits)
    exec(compile(code, "script", "exec"), {})  # noqa: S102 (the script is ours)
    assert len(hub.repositories["ann/reviews"].commits) == commits


def test_a_push_needs_a_name_where_there_are_several(hub: HubServer) -> None:
    bench = Workbench()
    fresh(bench)
    bench.attach("lora", ["query"])
    bench.attach("adapter", ["output.dense"])
    with pytest.raises(DeltaError, match="Several deltas are attached") as caught:
        bench.push("ann/reviews")
    assert caught.value.try_ == "%delta push ann/reviews adapter"
    assert not hub.requests

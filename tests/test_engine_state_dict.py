"""What state_dict shows after freeze_module; saving, Trainer and save_pretrained with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
import transformers

from deltanb import AdapterModel, BitFitModel, LoraModel
from deltanb.engine import unfreeze
from tests.models import MAKERS, bart, batch_for, bert, learn, output_of, same_state, trains

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn


def test_tied_tensors_are_shown_under_each_name_or_none() -> None:
    model = bart()
    names = {name for name, parameter in model.named_parameters(remove_duplicate=False) if parameter is model.lm_head.weight}
    assert len(names) == 4
    delta = AdapterModel(model, modified_modules=["fc2"])
    for word in ("lm_head", "shared"):
        delta.freeze_module(exclude=["deltas", word])
        assert set(model.state_dict()) == {*delta.module_parameters(), *names}
    delta.freeze_module()
    assert set(model.state_dict()) == set(delta.module_parameters())


@pytest.mark.parametrize("way", ["detach", "unfreeze", "set_state_dict=False"])
def test_the_filter_goes(way: str) -> None:
    model = bert()
    keys = list(model.state_dict())
    delta = BitFitModel(model, modified_modules=["output.dense"])
    delta.freeze_module()
    assert list(model.state_dict()) == [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    {"detach": delta.detach, "unfreeze": lambda: unfreeze(model)}.get(way, lambda: delta.freeze_module(set_state_dict=False))()
    assert list(model.state_dict()) == keys
    assert "save_pretrained" not in model.__dict__
    assert not model._state_dict_hooks


@pytest.mark.parametrize("kind", MAKERS)
def test_state_dict_round_trip_into_a_fresh_backbone(kind: str, tmp_path: Path) -> None:
    model = bert()
    delta = MAKERS[kind](model)
    delta.freeze_module(exclude=["deltas", "classifier"])
    learn(delta)
    torch.save(model.state_dict(), tmp_path / "delta.pt")
    fresh = bert()
    MAKERS[kind](fresh)
    missing, unexpected = fresh.load_state_dict(torch.load(tmp_path / "delta.pt"), strict=False)
    assert unexpected == []
    assert missing
    assert torch.equal(output_of(fresh), output_of(model))


def test_save_pretrained_writes_the_whole_model(tmp_path: Path) -> None:
    model = bert()
    backbone = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    delta = LoraModel(model, modified_modules=["query"])
    delta.freeze_module()
    model.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path)
    assert again.state_dict().keys() == backbone.keys()
    assert all(torch.equal(tensor, backbone[name]) for name, tensor in again.state_dict().items())
    assert set(model.state_dict()) == set(delta.module_parameters())


class Rows(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    """Eight rows of token ids and labels."""

    def __init__(self, model: nn.Module) -> None:
        self.rows = torch.cat([batch_for(model, seed)["input_ids"] for seed in range(4)])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, at: int) -> dict[str, torch.Tensor]:
        return {"input_ids": self.rows[at], "labels": torch.tensor(at % 2)}


def trainer_for(model: Any, folder: Path, steps: int, **more: Any) -> transformers.Trainer:
    settings = transformers.TrainingArguments(
        str(folder), max_steps=steps, save_steps=2, per_device_train_batch_size=4, learning_rate=0.05, use_cpu=True, disable_tqdm=True,
        lr_scheduler_type="constant", seed=3, **more,
    )  # fmt: skip
    trainer = transformers.Trainer(model, settings, train_dataset=Rows(model), eval_dataset=Rows(model))
    trainer.remove_callback(transformers.trainer.PrinterCallback)
    return trainer


def prepared() -> Any:
    model = bert(attention_probs_dropout_prob=0.0, hidden_dropout_prob=0.0)
    MAKERS["adapter"](model).freeze_module(exclude=["deltas", "classifier"])
    return model


def test_trainer_saves_and_resumes(tmp_path: Path) -> None:
    straight = prepared()
    trainer_for(straight, tmp_path / "straight", 4).train()
    first = prepared()
    start = same_state(first)
    trainer_for(first, tmp_path / "parts", 2).train()
    assert set(first.state_dict()) == trains(first)
    second = prepared()
    trainer_for(second, tmp_path / "parts", 4).train(resume_from_checkpoint=True)
    moved = {name for name, parameter in second.named_parameters() if not torch.equal(parameter, start[3][name])}
    assert moved == trains(second)
    for name, tensor in second.state_dict().items():
        torch.testing.assert_close(tensor, straight.state_dict()[name])


def test_trainer_goes_back_to_the_best(tmp_path: Path) -> None:
    """The largest loss is called the best here, so that it is not the last one by chance."""
    model = prepared()
    best = {"load_best_model_at_end": True, "metric_for_best_model": "loss", "greater_is_better": True}
    trainer = trainer_for(model, tmp_path, 6, eval_strategy="steps", eval_steps=2, **best)
    trainer.train()
    losses = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
    assert max(losses) > losses[-1] + 1e-3
    assert trainer.evaluate()["eval_loss"] == pytest.approx(max(losses), abs=1e-5)
    assert set(model.state_dict()) == trains(model)

"""The trial pass: right shapes on every family, on skeletons too, and nothing left behind."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers
from torch import nn

from deltanb._errors import DeltaError
from deltanb.probe import call_order, probe, trial_inputs
from tests.models import FAMILIES, batch_for, make, same_state

TRANSFORMERS = sorted(set(FAMILIES) - {"plain"})


def real_shapes(model: Any) -> dict[str, tuple[int, ...]]:
    """The last dimension does not depend on the inputs; a real pass shows it."""
    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str, output: Any) -> None:
        if isinstance(output, dict):
            output = tuple(output.values())
        if isinstance(output, (tuple, list)):
            output = output[0]
        if isinstance(output, torch.Tensor):
            shapes.setdefault(name, tuple(output.shape))

    handles = [
        module.register_forward_hook(lambda _module, _args, output, name=name: note(name, output)) for name, module in model.named_modules()
    ]
    with torch.no_grad():
        model(**batch_for(model, length=8))
    for handle in handles:
        handle.remove()
    return shapes


@pytest.mark.parametrize("family", TRANSFORMERS)
def test_shapes_are_those_of_a_real_pass(family: str) -> None:
    model = make(family)
    trace = probe(model)
    assert trace.failure == ""
    real = real_shapes(model)
    assert trace.calls.keys() >= real.keys()
    for name, shape in real.items():
        found = trace.calls[name].shape
        assert found is not None
        assert (len(found), found[-1:]) == (len(shape), shape[-1:]), name


@pytest.mark.parametrize("family", TRANSFORMERS)
def test_a_skeleton_shows_the_same(family: str) -> None:
    skeleton = make(family, device="meta")
    assert probe(skeleton) == probe(make(family))
    assert all(parameter.is_meta for parameter in skeleton.parameters())


@pytest.mark.parametrize("family", ["bart", "deberta-v2"])
def test_another_default_device_changes_nothing(family: str) -> None:
    with torch.device("meta"):
        assert probe(make(family)).failure == ""


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
@pytest.mark.parametrize("family", ["bert", "t5", "vit", "mixtral"])
def test_other_dtypes(family: str, dtype: torch.dtype) -> None:
    model = make(family).to(dtype)
    assert probe(model).calls == probe(make(family)).calls


@pytest.mark.parametrize("family", ["bert", "bart", "mixtral"])
def test_nothing_is_left_behind(family: str) -> None:
    model = make(family).train()
    inner = next(module for name, module in model.named_modules() if name.endswith("0"))
    inner.eval()
    flags = [module.training for module in model.modules()]
    config, state = model.config.to_dict(), same_state(model)
    hooks = [(len(module._forward_hooks), len(module._forward_pre_hooks)) for module in model.modules()]
    random = torch.get_rng_state()
    probe(model)
    assert [module.training for module in model.modules()] == flags
    assert [(len(module._forward_hooks), len(module._forward_pre_hooks)) for module in model.modules()] == hooks
    assert model.config.to_dict() == config
    assert torch.equal(torch.get_rng_state(), random)
    after = same_state(model)
    assert after[:3] == state[:3]
    assert all(torch.equal(value, state[3][name]) for name, value in after[3].items())
    assert all(parameter.grad is None and type(parameter) is nn.Parameter for parameter in model.parameters())


class Reader(nn.Module):
    """Reads a value in the middle, which no fake tensor has."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model, self.config, self.after = model, model.config, nn.Linear(2, 2)

    def forward(self, **inputs: torch.Tensor) -> torch.Tensor:
        logits = self.model(**inputs)[0]
        return self.after(logits) if logits.sum().item() > 0 else logits


def test_a_pass_that_ends_early_keeps_what_it_saw(caplog: pytest.LogCaptureFixture) -> None:
    model = Reader(make("bert")).train()
    with caplog.at_level(logging.DEBUG):
        trace = probe(model)
    assert trace.failure
    assert "\n" not in trace.failure
    assert trace.calls["model.classifier"].shape == (2, 2)
    assert "after" not in trace.calls
    assert not [record for record in caplog.records if "fake_tensor" in record.name]
    assert all(module.training for module in model.modules() if module is not model.model)
    assert not any(module._forward_hooks for module in model.modules())


def test_a_pass_can_end_when_it_has_seen_enough() -> None:
    model = make("bert").train()
    trace = probe(model, until=["bert.encoder.layer.0.attention"])
    assert trace.failure == ""
    assert trace.calls["bert.encoder.layer.0.attention"].shape == (2, 8, 16)
    assert not [name for name in trace.calls if "layer.1" in name or "intermediate" in name]
    assert all(module.training and not module._forward_hooks for module in model.modules())


def test_a_model_without_a_config_is_refused() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(DeltaError, match="Sequential has no config"):
        probe(model)
    assert not model[0]._forward_hooks


def test_the_order_of_calls_is_the_flow() -> None:
    order = call_order(make("bart"))
    flow = ["model.encoder.embed_tokens", "model.encoder.layers.0.self_attn.q_proj", "model.encoder.layers.0.fc1", "model.encoder.layers.1"]
    flow += ["model.decoder", "model.decoder.layers.0.encoder_attn", "model.decoder.layers.1.fc2", "lm_head"]
    assert sorted(flow, key=order.__getitem__) == flow
    assert "model.shared" not in order
    assert sorted(order.values()) == list(range(len(order)))


@pytest.mark.parametrize("family", ["bart", "bert", "gpt2", "llama", "t5", "vit"])
def test_trial_inputs_run_for_real(family: str) -> None:
    model = make(family)
    inputs = trial_inputs(model)
    assert all(torch.equal(value, trial_inputs(model)[key]) for key, value in inputs.items())
    with torch.no_grad():
        output = model(**inputs)[0]
    assert output.isfinite().all()
    rows = output[:, -1] if output.ndim == 3 else output
    assert len(rows) == 1 or not torch.equal(rows[0], rows[1])


def test_trial_inputs_fit_heads_that_read_tokens() -> None:
    """GPT-2 without padding takes one row; BART's classifier wants one end a row; an end outside the vocabulary is left out."""
    one = transformers.GPT2Config(n_embd=8, n_layer=1, n_head=2, vocab_size=40)
    two = transformers.BartConfig(d_model=8, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=8, decoder_ffn_dim=8,
                                  encoder_attention_heads=2, decoder_attention_heads=2, vocab_size=40)  # fmt: skip
    for model in (transformers.GPT2ForSequenceClassification(one), transformers.BartForSequenceClassification(two)):
        assert model(**trial_inputs(model))[0].isfinite().all()


def test_trial_inputs_need_weights() -> None:
    with pytest.raises(DeltaError, match="skeleton"):
        trial_inputs(make("bert", device="meta"))


class Counting(nn.Module):
    """Counts its calls in a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Embedding(9, 4)
        self.register_buffer("count", torch.zeros(()))
        self.config: Any = SimpleNamespace()

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        self.count += 1  # type: ignore[operator, misc]
        return self.layer(input_ids)  # type: ignore[no-any-return]


def test_a_trial_leaves_buffers_as_they_are() -> None:
    model = Counting()
    count = model.count
    assert probe(model).calls["layer"].shape == (2, 8, 4)
    assert model.count is count
    assert count == 0


class Scorer(nn.Module):
    """A module of one's own around a transformer: it has no config."""

    def __init__(self) -> None:
        super().__init__()
        self.reader, self.picture, self.score = make("bert").bert, make("vit").vit, nn.Linear(32, 1)


def test_of_a_model_without_a_config_the_transformers_inside_are_tried() -> None:
    trace = probe(Scorer())
    assert trace.calls["reader.encoder.layer.1"].shape == (2, 8, 16)
    assert trace.calls["picture.layers.1"].shape == (2, 5, 16)
    assert sorted(call.position for call in trace.calls.values()) == list(range(len(trace.calls)))
    assert probe(Scorer(), until=["picture.layers.1"]).calls["picture.layers.1"].shape == (2, 5, 16)
    assert "of Scorer only reader, picture could be tried" in probe(Scorer(), until=["score"]).failure


def test_a_reader_of_pictures_and_a_writer_joined() -> None:
    pair = transformers.VisionEncoderDecoderModel(encoder=make("vit").vit, decoder=make("gpt2", add_cross_attention=True))
    trace = probe(pair)
    assert trace.failure == ""
    assert trace.calls["encoder.layers.1"].shape == (2, 5, 16)
    assert trace.calls["decoder.lm_head"].shape == (2, 8, 64)


def test_where_pictures_stand_in_the_text_the_text_alone_is_tried() -> None:
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    text = {**small, "vocab_size": 64, "num_key_value_heads": 2, "head_dim": 8}
    config = transformers.Gemma3Config(
        text_config=text, vision_config={**small, "image_size": 8, "patch_size": 4}, mm_tokens_per_image=4, image_token_index=60
    )
    with torch.device("meta"):
        model = transformers.Gemma3ForConditionalGeneration(config)
    trace = probe(model)
    assert trace.failure == ""
    assert trace.calls["model.language_model.layers.0.mlp"].shape == (2, 8, 16)
    assert "model.vision_tower" not in trace.calls

"""Language models go on: the same as transformers' own generate, with the delta and without, and nothing is changed by it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from deltanb import DeltaError, LoraModel, Workbench, generate, load_backbone
from deltanb.engine import DELTA_TYPES
from tests.models import stir
from tests.test_magics import model, one_shell, run, shell

if TYPE_CHECKING:
    from deltanb import Backbone

__all__ = ["model", "one_shell", "shell"]  # fixtures
PROMPT = "Once upon a time"


@pytest.fixture
def decoder() -> Backbone:
    return load_backbone("gpt2-tiny", random=True, task="causal-lm", seed=1)


@pytest.mark.parametrize("kind", ["lora", "adapter", "prefix", "soft_prompt", "bitfit"])
def test_it_says_what_transformers_says_with_the_delta_and_without(decoder: Backbone, kind: str) -> None:
    ids = decoder.tokenizer(PROMPT, return_tensors="pt")["input_ids"]

    def by_hand() -> str:
        found = decoder.model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False, pad_token_id=0)
        return decoder.tokenizer.decode(found[0][ids.shape[1] :], skip_special_tokens=True)

    plain = by_hand()
    delta = DELTA_TYPES[kind](decoder.model)
    stir(delta.parameters(), scale=0.7)
    decoder.model.train()
    told, random = by_hand_of(decoder, by_hand), torch.get_rng_state()
    found = generate(decoder, PROMPT, max_new_tokens=12)
    assert (found.with_delta, found.without, found.deltas) == ([told], [plain], [kind])
    assert decoder.model.training
    assert torch.equal(torch.get_rng_state(), random)


def by_hand_of(decoder: Backbone, by_hand: object) -> str:
    decoder.model.eval()
    told: str = by_hand()  # type: ignore[operator]
    decoder.model.train()
    return told


def test_what_is_drawn_is_the_same_again_and_one_delta_can_be_left_out(decoder: Backbone) -> None:
    first = LoraModel(decoder.model, lora_r=2, modified_modules=["c_attn"])
    stir(first.parameters(), scale=0.5)
    second = DELTA_TYPES["adapter"](decoder.model)
    stir(second.parameters(), scale=0.5)
    drawn = [generate(decoder, [PROMPT, "And"], max_new_tokens=8, temperature=1.0, seed=seed) for seed in (3, 3, 4)]
    assert drawn[0].with_delta == drawn[1].with_delta != drawn[2].with_delta
    alone = generate(decoder, PROMPT, max_new_tokens=8, delta="lora")
    assert alone.deltas == ["lora"]
    second.detach()
    first.detach()
    third = generate(decoder, PROMPT, max_new_tokens=8)
    assert (third.deltas, third.without, third.df.columns.tolist()) == ([], [], ["prompt", "the backbone"])


def test_an_encoder_decoder_answers_and_a_prompt_may_be_markup() -> None:
    backbone = load_backbone("bart-tiny", random=True, task="seq2seq")
    found = generate(backbone, "<b>What</b> a film", max_new_tokens=5)
    assert len(found.with_delta) == 1
    assert "<b>What" not in found.html()
    assert "<b>What</b> a film" in found.text()


def test_what_cannot_be_is_said(decoder: Backbone) -> None:
    for wrong, words in (
        ({"max_new_tokens": 0}, "max_new_tokens=0 is not usable"),
        ({"temperature": -1}, "temperature=-1"),
        ({"top_p": 0}, "top_p=0"),
        ({"delta": "lroa"}, "No attached delta is called 'lroa'"),
        ({"max_new_tokens": 600}, "with 600 more it does not fit.*reads 512 tokens"),
        ({"chat": True}, "no chat template"),
    ):
        with pytest.raises(DeltaError, match=words):
            generate(decoder, PROMPT, **wrong)
    DELTA_TYPES["soft_prompt"](decoder.model, soft_token_num=9)
    assert generate(decoder, PROMPT, max_new_tokens=512 - 9 - len(decoder.tokenizer(PROMPT)["input_ids"]))
    with pytest.raises(DeltaError, match="reads 503 tokens in all"):
        generate(decoder, PROMPT, max_new_tokens=504 - len(decoder.tokenizer(PROMPT)["input_ids"]))
    with pytest.raises(DeltaError, match="nothing to go on from"):
        generate(decoder, "")
    with pytest.raises(DeltaError, match=r"BertForSequenceClassification does not generate text.*Try: %delta backbone bert-tiny --task"):
        generate(load_backbone("bert-tiny", random=True), PROMPT)


def test_the_line(shell: Any) -> None:
    run(shell, "%delta backbone gpt2-tiny --random --task causal-lm")
    run(shell, "%delta attach lora")
    found = run(shell, '%delta generate "Once upon a time" --max-new-tokens 4')
    assert (found.prompts, found.deltas) == (["Once upon a time"], ["lora"])
    assert "needs" in str(shell.run_cell("%delta generate").error_in_exec)


def test_the_workbench_is_as_before() -> None:
    bench = Workbench()
    bench.backbone("gpt2-tiny", random=True, task="causal-lm")
    bench.attach("lora")
    steps, before = len(bench.steps), {name: value.clone() for name, value in bench.model.state_dict().items()}
    bench.generate(PROMPT, max_new_tokens=3)
    assert len(bench.steps) == steps
    assert all(torch.equal(before[name], value) for name, value in bench.model.state_dict().items())

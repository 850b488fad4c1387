"""Where adapters puts a bottleneck, by family and by the name under which it is saved, as modules of the plain model."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Place", "Spot", "families", "place_of", "spot_of"]


@dataclass(frozen=True)
class Place:
    """One kind of place in one family. All are relative to the layer that the saved name belongs to.

    Attributes:
        end: how the saved name of the place ends.
        after: the module that an adapter without a norm follows.
        norm: the norm whose input takes the adapter's part, where the norm comes first; "" for the layer itself, which
            an adapter then follows; None where no module gives the sum that it needs.
        first: where a parallel adapter takes its input, or None where that is no module's input.
    """

    end: str
    after: str
    norm: str | None
    first: str | None = None


_BERT = (
    Place("attention.output", "attention.output.dense", "attention.output.LayerNorm"),
    Place("output", "output.dense", "output.LayerNorm", "intermediate.dense"),
)
_BART = (
    Place("attention_adapters", "self_attn.out_proj", "self_attn_layer_norm"),
    Place("cross_attention_adapters", "encoder_attn.out_proj", "encoder_attn_layer_norm"),
    Place("output_adapters", "fc2", "final_layer_norm", "fc1"),
)
# Norms come before the sub-layers here, so the sum that an adapter needs is the layer's own output, or no module's.
_GPT2 = (
    Place("attention_adapters", "attn.c_proj", None),
    Place("output_adapters", "mlp.c_proj", ""),
)
_FAMILIES = {
    "bert": _BERT,
    "roberta": _BERT,
    "xlm-roberta": _BERT,
    "electra": _BERT,
    "bart": _BART,
    "gpt2": _GPT2,
}


def families() -> list[str]:
    """The model types whose places are known.

    Example:
        >>> "bart" in families()
        True
    """
    return list(_FAMILIES)


def place_of(family: str, name: str) -> tuple[str, Place] | None:
    """The layer and the place that a saved name means, or None.

    Example:
        >>> layer, place = place_of("bert", "bert.encoder.layer.3.attention.output")
        >>> layer, place.after
        ('bert.encoder.layer.3', 'attention.output.dense')
    """
    for place in _FAMILIES[family]:
        if name.endswith(f".{place.end}"):
            return name.removesuffix(f".{place.end}"), place
    return None


@dataclass(frozen=True)
class Spot:
    """Where a delta sits for one place.

    Attributes:
        host: the module that gets the child.
        patterns: what its config names: the host, or for a parallel adapter the pair.
        placement: of an adapter.
    """

    host: str
    patterns: tuple[str, ...]
    placement: str = "after"


def spot_of(layer: str, place: Place, *, parallel: bool, early: bool) -> Spot | None:
    """The modules of a place, or None where none gives what the adapter takes.

    Args:
        layer: the layer's name.
        place: in it.
        parallel: beside the sub-layer.
        early: the norm comes before the adapter (``original_ln_before``).

    Example:
        >>> spot_of(*place_of("bart", "model.encoder.layers.0.output_adapters"), parallel=False, early=True).host
        'model.encoder.layers.0.final_layer_norm'
    """
    after = f"{layer}.{place.after}"
    if parallel:
        return None if place.first is None else Spot(f"{layer}.{place.first}", (f"{layer}.{place.first}", after))
    if not early:
        return Spot(after, (after,))
    if not place.norm:
        return None if place.norm is None else Spot(layer, (layer,))
    norm = f"{layer}.{place.norm}"
    return Spot(norm, (norm,), "at_norm")

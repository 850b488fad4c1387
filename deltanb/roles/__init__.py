"""Roles: one name for the same module in every model family (``attn@.q@``, ``ff@.w2@``).

A family is a table from module names (``$`` for a number) to role paths. A model of the family may be wrapped in any
head (``bert.``, ``model.``): what comes before the first known segment is dropped. Plain data and string work: no torch.

    embeddings@                               the tokens' embeddings
    encoder@ | decoder@                       a stack
    …block@.3                                 one of its layers
    …attn@  …attn@.q@ .k@ .v@ .proj@          self-attention, its projections (fused ones: ``q,k,v@``), what comes out of it
    …crossattn@.…                             attention to the encoder, likewise
    …ff@  …ff@.w1@ .w2@ .w3@                  feed-forward: first layer (of a gated one the gate), last, the other first
    …attn@.layer_norm@  …ff@.layer_norm@      the norms that belong to them
    …router@                                  mixture of experts: which experts. ``ff@`` is the whole mixture there; its
                                              experts are 3-D parameters and no modules, so there is no ``ff@.w1@``
    …mixer@.in@ .x@ .dt@ .conv@ .proj@        Mamba's mixer, which takes the place of attention and feed-forward
    text@.…  vision@.…                        the towers of a model that has both
    lm_head@.proj@                            the layer that gives the tokens' logits
"""

from deltanb.roles._families import known_families
from deltanb.roles._names import family_of, role_names, roles_of

__all__ = ["family_of", "known_families", "role_names", "roles_of"]

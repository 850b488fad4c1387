"""Models to put deltas on: from a package, a folder, the hub, the user's own, or built from a published size.

>>> from deltanb.backbones import load_backbone
>>> load_backbone("llama-3.1-8b", skeleton=True)
Backbone 'llama-3.1-8b' (skeleton, causal-lm): LlamaForCausalLM, 8,030,261,248 parameters
built from the published size of meta-llama/Llama-3.1-8B; structure only, no weights
"""

from __future__ import annotations

from deltanb.backbones._backbone import Backbone
from deltanb.backbones._choices import backbone_names, offline_choices
from deltanb.backbones._load import load_backbone

__all__ = ["Backbone", "backbone_names", "load_backbone", "offline_choices"]

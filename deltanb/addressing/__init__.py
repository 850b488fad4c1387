"""From a pattern to module names: the one grammar that everything in deltanb uses.

Pure Python: no torch, no notebook. A pattern is matched against dotted module names, and is one of

* **a suffix**, in whole segments: ``fc2`` matches ``encoder.layers.0.fc2``; ``c2`` matches nothing;
* **segments** that may be ``$`` (any integer), ``*`` (any one segment), integers and ranges (``0-5``, ``0-1,5``) or
  alternatives (``q_proj,v_proj``): every address that a folded graph shows can be pasted as a pattern;
* **a regular expression** after ``[r]``. The leftmost search hit decides: it must end at the end of the name and start
  at a segment boundary (the rule of OpenDelta, Ding et al. 2022, https://arxiv.org/abs/2203.06904);
* **roles**, segments that end in ``@``: ``attn@.q@``. The same suffix rule over the role names of the model's family.

Several patterns are OR-ed. The result is in model order, says for each pattern how many modules it hit, and a pattern
that hits nothing is an error. And back: `patterns_for` says what to write so that exactly some modules are hit.
"""

from deltanb.addressing._hints import coverage_hints
from deltanb.addressing._match import MatchResult, as_patterns, match_names
from deltanb.addressing._pattern import pattern_hits
from deltanb.addressing._synthesis import Proposal, Wider, patterns_for, wider_patterns

__all__ = [
    "MatchResult",
    "Proposal",
    "Wider",
    "as_patterns",
    "coverage_hints",
    "match_names",
    "pattern_hits",
    "patterns_for",
    "wider_patterns",
]

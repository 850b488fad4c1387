"""A page for each well-known model: which target modules, an Explorer without a kernel, and what each delta costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltanb import Explorer
from deltanb.backbones import backbone_names
from deltanb.backbones._sizes import SIZES
from deltanb.engine import DELTA_TYPES
from deltanb_docs.costs import costs, skeleton
from deltanb_docs.roles import role_tables
from deltanb_docs.targets import choices
from deltanb_docs.writing import table

if TYPE_CHECKING:
    from deltanb.backbones import Backbone
    from deltanb_docs.writing import Folder

__all__ = ["MODELS", "model_page", "write"]

# Known by name, but no page of their own: made up for teaching, or another size of a model that has one.
_WITHOUT = {
    "gpt2-tiny",
    "smollm2",
    *("bart-tiny", "bart-large", "bert-tiny", "bert-large", "roberta-large", "t5-small"),
    *("gpt2-medium", "opt-1.3b", "qwen3-0.6b", "llama-3.1-70b"),
}
MODELS = [name for name in backbone_names() if name not in _WITHOUT]
_HUBS = {"minilm": "sentence-transformers/all-MiniLM-L6-v2"}


def write(folder: Folder, extra: Folder) -> None:
    """All pages, their index, and the Explorers that they show."""
    rows = []
    for name in MODELS:
        backbone = skeleton(name)
        first = choices(backbone.model)[0]
        explorer = Explorer(backbone, pattern=list(first.patterns), delta_type="lora", view="tree")
        explorer.save_html(extra.path / f"{name}.html")
        explorer.close()
        folder.put(f"{name}.md", model_page(name, backbone))
        rows.append([f"[{name}]({name}.md)", f"`{_family(backbone)}`", _size(backbone), ", ".join(f"`{word}`" for word in first.targets)])
    folder.put(
        "index.md",
        _INDEX.format(table=table(["model", "family", "parameters", "target modules of the usual LoRA"], rows), toc="\n".join(MODELS)),
    )
    folder.sweep()


_INDEX = """# Models

*Which target modules?* For each model: the names, how many modules they hit, what a delta there costs, the line for
`%delta`, for Python and for PEFT, and an Explorer that runs in the page. All of it is counted on the model's structure,
built from its published configuration without its weights. Other sizes of a model have the same names. One that is not here:
`%delta backbone FOLDER --skeleton`, then `%delta explore`.

{table}

```{{toctree}}
:hidden:

{toc}
```
"""


def model_page(name: str, backbone: Backbone) -> str:
    """One model's page in Markdown."""
    model = backbone.model
    parts = [
        f"# {name}",
        f"{_origin(name)}; family `{_family(backbone)}`, built as `{type(model).__name__}`: {_size(backbone)} parameters.",
        "## Which target modules?",
        *(choice.text(name) for choice in choices(model)),
        "## Try it",
        f"```{{live}} models/{name}\n:height: 860\n\nExplorer of {name}\n```",
        "## What the modules are called",
        "A role is the same name in every family; either column can be given as a pattern.",
        role_tables(model),
        "## What each type of delta costs here",
        "At the modules where it sits by default, with its default options.",
        _costs(name),
    ]
    return "\n\n".join(parts) + "\n"


def _origin(name: str) -> str:
    hub = SIZES[name].hub if name in SIZES else _HUBS[name]
    return f"On the model hub as [{hub}](https://huggingface.co/{hub})"


def _family(backbone: Backbone) -> str:
    return str(backbone.model.config.model_type)


def _size(backbone: Backbone) -> str:
    return f"{sum(parameter.numel() for parameter in backbone.model.parameters()):,}"


def _costs(name: str) -> str:
    rows = []
    for kind in DELTA_TYPES:
        *numbers, refused = costs(name, kind)
        rows.append([f"[{kind}](../types/{kind}.md)", *numbers, refused or f"`%delta attach {kind}`"])
    return table(["type", "trains", "of the model", "file", "line"], rows)

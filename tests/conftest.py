"""What several tests share: golden files, and a small encoder-decoder that has every trait a structure can have."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn

    from tests.page import Page

GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--overwrite", action="store_true", help="write the golden files anew instead of comparing with them")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compares a text with the file of that name in tests/golden/."""

    def check(name: str, text: str) -> None:
        path = GOLDEN / name
        if request.config.getoption("--overwrite"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        assert text == path.read_text(encoding="utf-8"), f"tests/golden/{name} differs; --overwrite accepts the change"

    return check


@pytest.fixture
def seq2seq() -> nn.Module:
    """Tied embeddings, folded layers, a buffer, a parameter of the root's own, modules without parameters."""
    return build_seq2seq()


def build_seq2seq() -> nn.Module:
    import torch
    from torch import nn

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
                self.add_module(name, nn.Linear(8, 8))

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.self_attn = Attention()
            self.dropout = nn.Dropout()
            self.norm = nn.LayerNorm(8)
            self.fc1 = nn.Linear(8, 16)
            self.fc2 = nn.Linear(16, 8)

    class Stack(nn.Module):
        def __init__(self, shared: nn.Embedding, count: int) -> None:
            super().__init__()
            self.embed_tokens = nn.Embedding(32, 8)
            self.embed_tokens.weight = shared.weight
            self.layers = nn.ModuleList(Layer() for _ in range(count))
            self.register_buffer("positions", torch.arange(12))

    class Seq2Seq(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(3))
            self.shared = nn.Embedding(32, 8)
            self.encoder = Stack(self.shared, 4)
            self.decoder = Stack(self.shared, 2)
            self.lm_head = nn.Linear(8, 32)
            self.lm_head.weight = self.shared.weight

    return Seq2Seq()


@pytest.fixture
def tuned() -> nn.Module:
    """The same, frozen, with a delta on every ``fc2``; the delta owns one norm of the backbone's, too."""
    from torch import nn

    from deltanb.structure import DELTA_MARK, REGISTRY

    class Adapter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down = nn.Linear(8, 2)
            self.up = nn.Linear(2, 8)
            self.__dict__[DELTA_MARK] = "adapter"

    class Registry:
        def owners(self) -> dict[str, tuple[str, bool]]:
            return {f"decoder.layers.1.norm.{name}": ("adapter", False) for name in ("weight", "bias")}

    model = build_seq2seq().requires_grad_(requires_grad=False)
    for name, module in list(model.named_modules()):
        if name.endswith("fc2"):
            module.add_module("adapter", Adapter())
    model.get_submodule("decoder.layers.1.norm").requires_grad_(requires_grad=True)
    model.__dict__[REGISTRY] = Registry()
    return model


def pytest_configure() -> None:
    """Let an interrupt interrupt: a job in the background of a shell inherits that it is ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def playwright() -> Iterator[Any]:
    """Playwright, for tests that start Chromium."""
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as running:
        yield running


@pytest.fixture
def page(playwright: Any) -> Iterator[Page]:
    """A browser of its own for each test, with a page for a widget; in the end nothing may have been complained about."""
    from tests.page import widget_page

    with widget_page(playwright, height=1000) as made:
        yield made
        assert made.errors == []

"""Each verb on the workbench: the only place where words become values."""

from __future__ import annotations

import reprlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb.magics._help import help_for
from deltanb.magics._live import explore, preview
from deltanb.magics._tokens import Variable, texts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from deltanb.magics._parse import Call
    from deltanb.workbench import Workbench

__all__ = ["run", "source_of"]


def run(call: Call, bench: Workbench, variables: Mapping[str, Any]) -> Any:
    """Carry out a call.

    Args:
        call: from `deltanb.magics._parse.parse`.
        bench: the notebook's workbench.
        variables: the user's, for models and data named without braces.

    Returns:
        What is to be displayed, or None.
    """
    return _RUNNERS[call.verb.name](call, bench, variables)


def _backbone(call: Call, bench: Workbench, variables: Mapping[str, Any]) -> Any:
    spec = call.words[0]
    if isinstance(spec, str) and _is_model(variables.get(spec)):
        spec = Variable(spec, variables[spec])
    if isinstance(spec, Variable):
        return bench.backbone(spec.value, variable=spec.name, **call.options)
    return bench.backbone(spec, **call.options)


def _is_model(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.nn.Module)


def _graph(call: Call, bench: Workbench, _: Mapping[str, Any]) -> Any:
    options = call.options
    return bench.graph(
        depth=options.get("depth"),
        empty=options.get("all", False),
        flow=options.get("flow", False),
        picture=not options.get("no_picture", False),
    )


def _match(call: Call, bench: Workbench, _: Mapping[str, Any]) -> Any:
    patterns, exclude = _patterns(call.words), call.options.get("exclude")
    if call.options.get("live"):
        return preview(bench, patterns, exclude, bind=bool(call.bind))
    return bench.match(patterns, exclude)


def _explore(call: Call, bench: Workbench, _: Mapping[str, Any]) -> Any:
    return explore(bench, _patterns(call.words), bind=bool(call.bind), **call.options)


def _patterns(found: list[Any]) -> list[str]:
    """Words and lists of words as one list."""
    patterns: list[str] = []
    for word in found:
        patterns += texts(word) if isinstance(word, Variable) else [word]
    return patterns


def _attach(call: Call, bench: Workbench, _: Mapping[str, Any]) -> Any:
    kind = call.words[0]
    return bench.attach(_text(kind), _patterns(call.words[1:]) or None, **call.options)


def _plan(call: Call, bench: Workbench, _: Mapping[str, Any]) -> Any:
    return bench.plans(_patterns(call.words) or None, **call.options)


def _named(verb: str) -> Callable[[Call, Any, Mapping[str, Any]], Any]:
    def runner(call: Call, bench: Workbench, _: Mapping[str, Any]) -> Any:
        return getattr(bench, verb)(_text(call.words[0]) if call.words else None)

    return runner


def _plain(verb: str) -> Callable[[Call, Any, Mapping[str, Any]], Any]:
    def runner(call: Call, bench: Workbench, _: Mapping[str, Any]) -> Any:
        return getattr(bench, verb)(**call.options)

    return runner


def _source(call: Call, variables: Mapping[str, Any]) -> dict[str, Any]:
    """The data that the first word names: a shipped set, a file, or a variable."""
    return source_of(call.words[0], variables) if call.words else {}


def source_of(word: Any, variables: Mapping[str, Any]) -> dict[str, Any]:
    """The data that a word names.

    Args:
        word: of the line.
        variables: the user's.
    """
    from deltanb.datasets import names

    if isinstance(word, Variable):
        return {"source": word.value, "variable": word.name}
    if word in names() or Path(word).exists() or word not in variables:
        return {"source": word}
    return {"source": variables[word], "variable": word}


def _data(call: Call, bench: Workbench, variables: Mapping[str, Any]) -> Any:
    from deltanb.workbench import data_outcome

    return data_outcome(bench.data(**_source(call, variables), **call.options))


def _with_data(verb: str) -> Callable[[Call, Any, Mapping[str, Any]], Any]:
    def runner(call: Call, bench: Workbench, variables: Mapping[str, Any]) -> Any:
        return getattr(bench, verb)(**_source(call, variables), **call.options)

    return runner


def _train(call: Call, bench: Workbench, variables: Mapping[str, Any]) -> Any:
    from deltanb.magics._training import train

    return train(bench, _source(call, variables), call.options)


def _compare(call: Call, bench: Workbench, variables: Mapping[str, Any]) -> Any:
    from deltanb.magics._compare import compare

    return compare(bench, call.verb, call.words, call.options, variables)


def _runs(_call: Call, bench: Workbench, _: Mapping[str, Any]) -> Any:
    return bench.runs


def _generate(call: Call, bench: Workbench, _: Mapping[str, Any]) -> Any:
    return bench.generate(_sentences(call), **call.options)


def _predict(call: Call, bench: Workbench, _: Mapping[str, Any]) -> Any:
    return bench.predict(_sentences(call))


def _sentences(call: Call) -> Any:
    """What stands in the variable that was given, or the sentence, or the sentences."""
    first = call.words[0]
    if isinstance(first, Variable):
        return first.value
    return list(call.words) if len(call.words) > 1 else first


def _texts(verb: str) -> Callable[[Call, Any, Mapping[str, Any]], Any]:
    def runner(call: Call, bench: Workbench, _: Mapping[str, Any]) -> Any:
        return getattr(bench, verb)(*map(_text, call.words), **call.options)

    return runner


def _text(word: Any) -> str:
    """A name or a folder."""
    value = word.value if isinstance(word, Variable) else word
    if isinstance(value, (str, Path)):
        return str(value)
    msg = f"{{{word.name}}} holds {reprlib.repr(value)}, and a name is needed here."
    raise DeltaError(msg, expected="It should hold a text, or a path.", try_=f"{word.name} = 'my-first-delta'")


def _params(call: Call, bench: Workbench, _: Mapping[str, Any]) -> Any:
    options = dict(call.options)
    looks, skips = options.pop("gradients", False), options.pop("no_gradients", False)
    if looks and skips:
        msg = "--gradients looks and --no-gradients does not."
        raise DeltaError(msg, expected="One of them, or neither.", try_="%delta params --gradients")
    options["gradients"] = True if looks else False if skips else None
    if not options.pop("live", False):
        return bench.params(**options)
    from deltanb.widgets import ParameterView, show_with_static

    widget = ParameterView(bench, **options)
    show_with_static(widget)
    return widget if call.bind else None


def _inspect(call: Call, bench: Workbench, _: Mapping[str, Any]) -> Any:
    name = _text(call.words[0]) if call.words else None
    if not call.options.get("live"):
        return bench.inspect(name, call.options.get("texts"))
    from deltanb.widgets import DeltaAnatomy, show_with_static

    widget = DeltaAnatomy(bench, name, texts=call.options.get("texts"))
    show_with_static(widget)
    return widget if call.bind else None


def _use(call: Call, bench: Workbench, _: Mapping[str, Any]) -> Any:
    return bench.use([_text(word) for word in call.words])


def _add(call: Call, bench: Workbench, _: Mapping[str, Any]) -> Any:
    weights = dict(call.options)
    name = weights.pop("name", None)
    return bench.add({**dict.fromkeys(map(_text, call.words), 1), **weights}, name=name)


def _interpolate(call: Call, bench: Workbench, _: Mapping[str, Any]) -> Any:
    first, second, share = call.words
    return bench.interpolate(_text(first), _text(second), share.value if isinstance(share, Variable) else share, **call.options)


def _code(call: Call, bench: Workbench, _: Mapping[str, Any]) -> Any:
    from deltanb.reports import CodeReport

    options = dict(call.options)
    if "script" in options:
        return bench.script(options.pop("script"), **options)
    if options:
        msg = f"--{next(iter(options))} belongs to a script that is written."
        raise DeltaError(msg, expected="The script's file is needed.", try_="%delta code --script train.py --configs")
    return CodeReport(bench.code())


def _help(call: Call, _bench: Workbench, _: Mapping[str, Any]) -> Any:
    return help_for(*map(_text, call.words))


_RUNNERS: dict[str, Callable[[Any, Any, Mapping[str, Any]], Any]] = {
    "backbone": _backbone,
    "graph": _graph,
    "match": _match,
    "explore": _explore,
    "attach": _attach,
    "plan": _plan,
    "detach": _named("detach"),
    "reattach": _named("reattach"),
    "use": _use,
    "merge": _named("merge"),
    "unmerge": _named("unmerge"),
    "add": _add,
    "interpolate": _interpolate,
    "remove": _named("remove"),
    "freeze": _plain("freeze"),
    "unfreeze": _plain("unfreeze"),
    "params": _params,
    "inspect": _inspect,
    "log": _named("log"),
    "data": _data,
    "train": _train,
    "stop": _plain("stop"),
    "wait": _plain("wait"),
    "runs": _runs,
    "compare": _compare,
    "evaluate": _with_data("evaluate"),
    "generate": _generate,
    "predict": _predict,
    "save": _texts("save"),
    "load": _texts("load"),
    "push": _texts("push"),
    "pull": _texts("pull"),
    "serve": _texts("serve"),
    "code": _code,
    "undo": _plain("undo"),
    "redo": _plain("redo"),
    "help": _help,
}

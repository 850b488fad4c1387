"""The verbs of ``%delta``: what each takes. One table for parsing, help and completion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from deltanb._errors import DeltaError
from deltanb._suggest import close

__all__ = ["BASELINES", "DELTA_TYPES", "VERBS", "Option", "Verb", "find_verb"]

Kind = Literal["text", "int", "float", "flag", "many", "value"]
OneWord = Literal["", "spec", "pattern", "delta", "deltas", "weights", "data", "text", "folder", "kinds", "types", "verb"]
TwoWords = Literal["type pattern", "folder delta", "hub delta", "hub folder", "delta delta number"]
Words = OneWord | TwoWords

# Names alone, so that completion and help need no torch; a test holds them equal to the engine's.
DELTA_TYPES = {
    "adapter": "a small bottleneck after each matched module",
    "lora": "a low-rank update beside each matched linear layer or embedding",
    "bitfit": "the biases in the matched modules, and nothing else",
    "prefix": "trainable keys and values before the text's, in each matched attention",
    "soft_prompt": "trainable embeddings before the text's; the place is given by the model",
    "low_rank_adapter": "an adapter whose two matrices are products of thin ones",
    "parallel_adapter": "a bottleneck beside a pair of modules, given as two patterns: fc1 fc2",
    "compacter": "an adapter whose two matrices are sums of Kronecker products",
    "ia3": "a vector that scales keys, values and the inside of the feed-forward",
    "ln_tuning": "the weights and biases of the matched norms, and nothing else",
}

# What a comparison may hold beside them.
BASELINES = {"head": "the classifier alone, the backbone frozen", "full": "all parameters"}


@dataclass(frozen=True)
class Option:
    """One option of a verb.

    Attributes:
        name: as in Python, with underscores.
        kind: ``flag`` takes no value, ``many`` takes words up to the next option, ``value`` anything in braces.
        help: one line.
    """

    name: str
    kind: Kind
    help: str


@dataclass(frozen=True)
class Verb:
    """One verb.

    Attributes:
        name: the first word after ``%delta``.
        help: one line.
        words: what the words after it are, in order; the last may repeat.
        least: how many words it needs.
        most: how many it may have; None for any number.
        options: its options.
        example: a line that works.
        open: whether other ``name=value`` options are passed on to the delta type.
    """

    name: str
    help: str
    words: Words = ""
    least: int = 0
    most: int | None = 0
    options: tuple[Option, ...] = ()
    example: str = ""
    open: bool = False

    def option(self, name: str) -> Option | None:
        """The option of that name, in either spelling."""
        plain = name.replace("-", "_")
        return next((option for option in self.options if option.name == plain), None)


_COLUMNS = (Option("text", "text", "name of the column with the text"), Option("label", "text", "name of the column with the label"))
_ROWS = Option("rows", "int", "use only so many rows, always the same ones")
_EXCLUDE = Option("exclude", "many", "patterns to leave out, with everything below")

_ALL = (
    Verb("backbone", "take a pretrained model (or its bare structure) to work on", "spec", 1, 1, (
        Option("random", "flag", "new weights instead of pretrained ones"),
        Option("skeleton", "flag", "structure without weights"),
        Option("task", "text", "classification, base, seq2seq, causal-lm, masked-lm, …"),
        Option("num_labels", "int", "outputs of a classification head"),
        Option("tokenizer", "value", "a tokenizer of your own, as {name}"),
        Option("seed", "int", "for whatever gets new weights"),
        Option("device_map", "text", "where pretrained weights go: auto, cpu, cuda:0, …"),
        Option("bits", "int", "4 or 8: pretrained weights quantised by bitsandbytes"),
    ), "backbone minilm"),
    Verb("graph", "the structure, folded, with counts", options=(
        Option("depth", "int", "levels to show"),
        Option("all", "flag", "modules without parameters too"),
        Option("flow", "flag", "in the order in which modules are called"),
        Option("no_picture", "flag", "the tree alone"),
    ), example="graph --depth 4"),
    Verb("match", "which modules patterns hit, and what a delta there would cost", "pattern", 1, None, (
        _EXCLUDE,
        Option("live", "flag", "as a widget: type, and see at once what is hit"),
    ), "match output.dense"),
    Verb("explore", "one widget to see and try it all: structure, patterns, what a delta costs; attach, freeze, undo", "pattern", 0, None, (
        _EXCLUDE,
        Option("view", "text", "tree, graph or both"),
        Option("projector", "flag", "larger letters"),
    ), "explore output.dense"),
    Verb("attach", "attach a delta to the matched modules", "type pattern", 1, None, (
        Option("name", "text", "a name of its own for the delta"),
        _EXCLUDE,
    ), "attach adapter output.dense bottleneck_dim=24", open=True),
    Verb("plan", "which types, options and layers fit a budget, and what each would cost; nothing is attached", "kinds", 0, None, (
        Option("budget", "value", "parameters that may train: 0.1% of the backbone's, or a number: 300k"),
        Option("file", "value", "size of the saved delta: 1MB"),
        Option("memory", "value", "that training may take, the process itself among it: 2GB"),
        Option("batch", "int", "texts a step, for the memory (8)"),
        Option("length", "int", "tokens a text, for the memory (128)"),
    ), "plan --budget 0.1%"),
    Verb("detach", "take a delta out; it keeps its weights", "delta", 0, 1, example="detach adapter"),
    Verb("reattach", "put a detached delta back", "delta", 0, 1, example="reattach adapter"),
    Verb("use", "have just these deltas attached, from here or from folders; none: all off", "deltas", 1, None, example="use adapter"),
    Verb("merge", "put a delta into its hosts' weights; the originals are kept", "delta", 0, 1, example="merge lora"),
    Verb("unmerge", "take a merged delta out of the weights, bit for bit", "delta", 0, 1, example="unmerge lora"),
    Verb("add", "add LoRA deltas, each times its weight, into a new one", "weights", 0, None, (
        Option("name", "text", "of the new delta; default: combined"),
    ), "add a=1 b=0.5 --name both", open=True),
    Verb("interpolate", "a new LoRA delta between two: 0 is the first, 1 the second", "delta delta number", 3, 3, (
        Option("name", "text", "of the new delta; default: combined"),
    ), "interpolate a b 0.3 --name mid"),
    Verb("remove", "detach a delta and forget it", "delta", 0, 1, example="remove adapter"),
    Verb("freeze", "declare what trains: everything but --exclude is frozen", options=(
        Option("exclude", "many", "what stays trainable: patterns, the word deltas, or a delta's name"),
    ), example="freeze --exclude deltas classifier"),
    Verb("unfreeze", "take back every freeze", example="unfreeze"),
    Verb("params", "parameter counts before and after", options=(
        Option("by", "text", "module, type or delta"),
        Option("depth", "int", "levels to show"),
        Option("gradients", "flag", "look for what trains but receives no gradient, though the model is large"),
        Option("no_gradients", "flag", "do not look for it"),
        Option("live", "flag", "as a widget: to sort, filter and open, following every step"),
    ), example="params --by type"),
    Verb("inspect", "what a delta has learned: change of weights and activations, answers with and without it", "delta", 0, 1, (
        Option("texts", "many", "example sentences, each in quotes, or {name}; default: held-out rows of the data in use"),
        Option("live", "flag", "as a widget, in which a sentence can be typed"),
    ), 'inspect --texts "A warm, funny film."'),
    Verb("log", "structure and counts of a delta", "delta", 0, 1, example="log"),
    Verb("data", "choose the data set", "data", 0, 1, (
        *_COLUMNS,
        Option("test_fraction", "float", "share held out, where there is no split"),
    ), "data movie_reviews"),
    Verb("train", "train what is trainable; again: goes on", "data", 0, 1, (
        Option("epochs", "float", "passes over the data"),
        Option("lr", "float", "learning rate; default: by delta type"),
        Option("batch_size", "int", "rows a step"),
        Option("max_steps", "int", "stop after so many steps"),
        Option("eval_every", "int", "evaluate every so many steps"),
        _ROWS,
        Option("seed", "int", "for the order of rows"),
        Option("max_length", "int", "tokens a row, at most"),
        Option("restart", "flag", "begin anew instead of going on"),
        Option("live", "flag", "show it in a widget, beside the curves of earlier runs"),
        Option("background", "flag", "train in a thread, with a Stop button; what uses the model has to wait"),
        Option("cache_frozen", "flag", "run each text through the frozen lower layers once, and keep what they give"),
        Option("cache_limit", "int", "megabytes that this may take in memory (500)"),
        Option("cache_dtype", "text", "half, float16, bfloat16 or float32"),
        Option("cache_on", "text", "memory, or disk for a temporary file"),
        *_COLUMNS,
    ), "train movie_reviews --epochs 1 --rows 3000"),
    Verb("stop", "end the training in the background; what was learned is kept", example="stop"),
    Verb("wait", "until the training in the background is done, for the cells after it", options=(
        Option("seconds", "float", "at most so long"),
    ), example="wait"),
    Verb("runs", "the training runs of this session, side by side", example="runs"),
    Verb("compare", "train several deltas on the same backbone and data, and show what each gives and takes", "types", 1, None, (
        Option("on", "value", "the data: a name, a file, or {name}; default: the set in use"),
        Option("seeds", "int", "runs of each, with seeds 0, 1, … (3)"),
        Option("layers", "many", "hold the deltas to these layers, each set in turn: 0-2 3-5 all"),
        _EXCLUDE,
        Option("epochs", "float", "passes over the data"),
        Option("max_steps", "int", "stop each run after so many steps"),
        Option("lr", "text", "learning rate, or several: 1e-3,3e-3; default: by delta type"),
        Option("batch_size", "int", "rows a step"),
        _ROWS,
        Option("max_length", "int", "tokens a row, at most"),
        Option("cache_frozen", "flag", "run each text through the frozen lower layers once, for all runs that have the same"),
        Option("cache_limit", "int", "megabytes that this may take in memory, for each such part (500)"),
        Option("folder", "text", "where finished runs are kept; default: deltanb-runs/, a folder for each backbone"),
        Option("restart", "flag", "run all anew, whatever is kept"),
        *_COLUMNS,
    ), "compare adapter lora bitfit --on movie_reviews --max-steps 100 --seeds 3", open=True),
    Verb("evaluate", "accuracy and loss on held-out rows", "data", 0, 1, (
        Option("without", "flag", "with every delta off: the backbone by itself"),
        _ROWS,
        Option("batch_size", "int", "rows a step"),
        *_COLUMNS,
    ), "evaluate"),
    Verb("predict", "what the model says about a sentence", "text", 1, None, example='predict "A warm, funny film."'),
    Verb("generate", "how a language model goes on, with its delta and without it", "text", 1, None, (
        Option("max_new_tokens", "int", "at most, for each prompt"),
        Option("temperature", "float", "0 takes the likeliest token; above, tokens are drawn"),
        Option("top_p", "float", "draw from the likeliest tokens with this much probability together"),
        Option("seed", "int", "of what is drawn"),
        Option("delta", "text", "leave out this one alone; without it all are left out"),
    ), 'generate "Once upon a time" --max-new-tokens 40'),
    Verb("save", "save a delta, and nothing else, to a folder", "folder delta", 1, 2, (
        Option("format", "text", "deltanb, or peft: a folder that PEFT loads, for the types that it has"),
        Option("force", "flag", "replace what is there, whatever it is"),
    ), "save my-first-delta"),
    Verb("load", "attach a saved delta, from a folder or from user/name on the model hub", "folder", 1, 1, (
        Option("name", "text", "a name of its own for the delta"),
    ), "load my-first-delta"),
    Verb("push", "upload a delta, and nothing else, to the model hub, with a card that shows it", "hub delta", 1, 2, (
        Option("private", "flag", "a new repository is for its owner alone"),
        Option("license", "text", "an id such as mit or apache-2.0, for the card"),
        Option("message", "text", "of the commit"),
        Option("force", "flag", "write over something else, or another delta"),
    ), "push ann/reviews --private"),
    Verb("pull", "download a delta from the model hub to a folder", "hub folder", 1, 2, (
        Option("revision", "text", "a branch, a tag or a commit; default: main"),
    ), "pull ann/reviews"),
    Verb("serve", "show a folder of deltas in a browser, each one's answer beside the others'", "folder", 0, 1, (
        Option("port", "int", "where to listen on this machine; 0: any free port (8000)"),
        Option("stop", "flag", "end the server"),
    ), "serve deltas --port 8000"),
    Verb("code", "the Python that does what was done here; or a script that trains it on many processes", options=(
        Option("script", "text", "write a training script to this file, for python, accelerate launch and torchrun"),
        Option("configs", "flag", "beside it, configurations of accelerate: DDP, FSDP, DeepSpeed"),
        Option("force", "flag", "replace a file that holds something else"),
    ), example="code --script train.py"),
    Verb("undo", "go back one step", example="undo"),
    Verb("redo", "take the undone step again", example="redo"),
    Verb("help", "this list, or one verb", "verb", 0, 2, example="help attach"),
)  # fmt: skip

VERBS: dict[str, Verb] = {verb.name: verb for verb in _ALL}


def find_verb(name: str) -> Verb:
    """The verb of that name.

    Raises:
        DeltaError: there is none; names the near ones.

    Example:
        >>> find_verb("graph").help
        'the structure, folded, with counts'
    """
    if name in VERBS:
        return VERBS[name]
    msg = f"%delta has no verb {name!r}."
    near = close(name, VERBS)
    raise DeltaError(
        msg, expected=f"One of: {', '.join(VERBS)}.", nearest=near, try_=f"%delta {VERBS[near[0]].example}" if near else "%delta help"
    )

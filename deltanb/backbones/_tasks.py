"""Which head a model gets: the tasks that its family has, and the one that fits when none is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from deltanb._errors import DeltaError
from deltanb._suggest import close

if TYPE_CHECKING:
    from deltanb.backbones._backbone import Task

__all__ = ["HEADED", "auto_class", "check_task", "choose_task", "class_name", "is_decoder_only", "task_of", "tasks_of"]

# Task to the auto classes that build it and their tables of families; the first that has the family is taken.
_AUTO: dict[str, tuple[tuple[str, str], ...]] = {
    "classification": (("AutoModelForSequenceClassification", "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES"),),
    "seq2seq": (
        ("AutoModelForSeq2SeqLM", "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES"),
        ("AutoModelForSpeechSeq2Seq", "MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES"),
    ),
    "causal-lm": (("AutoModelForCausalLM", "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES"),),
    "masked-lm": (("AutoModelForMaskedLM", "MODEL_FOR_MASKED_LM_MAPPING_NAMES"),),
    "image": (("AutoModelForImageClassification", "MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES"),),
    "speech": (("AutoModelForAudioClassification", "MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING_NAMES"),),
    "base": (("AutoModel", "MODEL_MAPPING_NAMES"),),
}
# What ``auto`` tries, in this order.
_LIKELY: tuple[Task, ...] = ("classification", "image", "seq2seq", "speech", "causal-lm", "masked-lm")
# The tasks whose head has one output a label.
HEADED: tuple[Task, ...] = ("classification", "image", "speech")


def tasks_of(family: str) -> list[Task]:
    """The tasks that a family (``config.model_type``) has a model class for.

    Example:
        >>> tasks_of("gpt2")
        ['classification', 'causal-lm', 'base']
    """
    return [cast("Task", task) for task, ways in _AUTO.items() if any(family in _classes(table) for _, table in ways)]


def is_decoder_only(config: Any) -> bool:
    """Whether a family predicts the next word and does nothing else with words, as GPT-2 and Llama.

    Example:
        >>> from transformers import BertConfig, GPT2Config
        >>> is_decoder_only(GPT2Config()), is_decoder_only(BertConfig())
        (True, False)
    """
    found = set(tasks_of(config.model_type))
    return "causal-lm" in found and not {"masked-lm", "seq2seq"} & found


def check_task(task: object) -> None:
    """Refuses a word that is no task.

    Example:
        >>> check_task("classification")
    """
    known = ["auto", *_AUTO]
    if task not in known:
        raise DeltaError(f"There is no task {task!r}.", expected=f"Known: {', '.join(known)}.", nearest=close(str(task), known))


def choose_task(config: Any, task: str, *, skeleton: bool = False) -> Task:
    """The task asked for if the family has it; for ``auto`` the one that a notebook most likely wants.

    Args:
        config: the model's configuration.
        task: a task, or ``auto``: text classification, else image classification, speech to text, speech classification,
            the next word; for a skeleton of a decoder-only family the next word at once.
        skeleton: whether there will be no weights.

    Raises:
        DeltaError: the family has no such task.

    Example:
        >>> from transformers import BertConfig
        >>> choose_task(BertConfig(), "auto")
        'classification'
    """
    family = config.model_type
    found = tasks_of(family)
    if task == "auto":
        return _likely(config, found, skeleton=skeleton)
    if task not in found:
        raise DeltaError(f"Models of the family {family!r} have no task {task!r}.", expected=f"They have: {', '.join(found) or 'none'}.")
    return task


def auto_class(config: Any, task: Task) -> Any:
    """The class of transformers that builds a model for the task.

    Example:
        >>> from transformers import WhisperConfig
        >>> auto_class(WhisperConfig(), "seq2seq").__name__
        'AutoModelForSpeechSeq2Seq'
    """
    import transformers

    return getattr(transformers, next(name for name, table in _AUTO[task] if config.model_type in _classes(table)))


def class_name(config: Any, task: Task) -> str:
    """The name of the model class that a family has for a task, as ``config.architectures`` lists it.

    Example:
        >>> from transformers import BertConfig
        >>> class_name(BertConfig(), "classification")
        'BertForSequenceClassification'
    """
    name = next(_classes(table)[config.model_type] for _, table in _AUTO[task] if config.model_type in _classes(table))
    return str(name if isinstance(name, str) else name[0])


def task_of(model: object) -> Task:
    """The task of a finished model, by its class; ``unknown`` for what is not of transformers.

    Example:
        >>> from transformers import BartConfig, BartForConditionalGeneration
        >>> task_of(BartForConditionalGeneration(BartConfig(d_model=16, encoder_layers=1, decoder_layers=1, vocab_size=64)))
        'seq2seq'
    """
    names = [cls.__name__ for cls in type(model).__mro__ if cls.__module__.startswith("transformers.")]
    for name in names:
        for task, ways in _AUTO.items():
            if any(name in _class_names(table) for _, table in ways):
                return cast("Task", task)
    return "unknown"


def _likely(config: Any, found: list[Task], *, skeleton: bool) -> Task:
    if skeleton and is_decoder_only(config):
        return "causal-lm"
    # A model of two towers (CLIP) has an image head too, which would hide one of the towers.
    two_towers = hasattr(config, "text_config") and "image" in found
    return next((task for task in _LIKELY if task in found and not two_towers), "base")


def _classes(table: str) -> dict[str, Any]:
    from transformers.models.auto import modeling_auto

    return dict(getattr(modeling_auto, table))


def _class_names(table: str) -> set[str]:
    return {name for value in _classes(table).values() for name in ([value] if isinstance(value, str) else value)}

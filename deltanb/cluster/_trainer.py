"""transformers' Trainer for a backbone with deltas, in one process or many. Imported only when something is trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors.torch
import transformers

from deltanb._errors import DeltaError
from deltanb.cluster._files import WEIGHTS
from deltanb.training._encoding import collator
from deltanb.training._quantised import check_gradients, deltas_count
from deltanb.training._subject import subject_of

if TYPE_CHECKING:
    from torch import nn

    from deltanb.backbones import Backbone

__all__ = ["DeltaTrainer"]


class DeltaTrainer(transformers.Trainer):
    """A Trainer whose checkpoints hold what trains, and not the whole backbone.

    Args:
        backbone: the model with its tokenizer; deltas attached, the rest frozen.
        options: of ``transformers.Trainer``: ``args``, ``train_dataset``, ``eval_dataset``, …

    Example:
        >>> import os, tempfile, deltanb
        >>> from deltanb.cluster import rows_of
        >>> backbone = deltanb.load_backbone("bert-tiny", random=True)
        >>> deltanb.LoraModel(backbone.model, modified_modules=["query"]).freeze_module(exclude=["deltas", "classifier"])
        >>> train, _ = rows_of(backbone, [(f"a {word} film {i}", word) for i in range(20) for word in ("good", "bad")])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     quietly = {"report_to": "none", "use_cpu": True, "disable_tqdm": True}
        ...     args = transformers.TrainingArguments(folder, max_steps=1, save_strategy="no", **quietly)
        ...     trainer = DeltaTrainer(backbone, args=args, train_dataset=train)
        ...     steps = trainer.train().global_step
        ...     trainer.save_model()
        ...     print(steps, sorted(os.listdir(folder)))
        {'train_runtime': ...}
        1 ['model.safetensors']
    """

    def __init__(self, backbone: Backbone, **options: Any) -> None:
        check_gradients(backbone.model)
        with deltas_count(backbone.model):
            super().__init__(model=backbone.model, data_collator=collator(subject_of(backbone)), **options)
        # These models average the loss over a batch; Trainer would take any **kwargs for a promise to do otherwise.
        self.model_accepts_loss_kwargs = False
        self._check_rows()

    def _check_rows(self) -> None:
        args, rows = self.args, len(self.train_dataset)  # type: ignore[arg-type]
        step = args.per_device_train_batch_size * args.world_size * args.gradient_accumulation_steps
        if args.dataloader_drop_last and rows < step:
            raise DeltaError(
                f"There are {rows} training rows, and a step takes {step}.", expected="At least one step.", try_=f"--batch {rows}"
            )

    def train(self, resume_from_checkpoint: Any = None, *given: Any, **options: Any) -> Any:
        """As Trainer's, but a run that has had all its steps gets no further one: Trainer would take it before it looks."""
        if isinstance(resume_from_checkpoint, str) and self.args.max_steps > 0:
            state = transformers.TrainerState.load_from_json(str(Path(resume_from_checkpoint) / "trainer_state.json"))
            if state.global_step >= self.args.max_steps:
                self._load_from_checkpoint(resume_from_checkpoint)
                self.state = state
                return None
        return super().train(resume_from_checkpoint, *given, **options)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        """Write what trains; ``state_dict`` is the whole model that FSDP or DeepSpeed has put together."""
        folder = Path(output_dir or str(self.args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        model: Any = self.model
        names = _trains(model)
        whole = model.state_dict() if state_dict is None else state_dict
        kept = {name: tensor.detach().cpu().contiguous() for name, tensor in whole.items() if name in names}
        safetensors.torch.save_file(kept, folder / WEIGHTS, metadata={"format": "pt"})

    def _issue_warnings_after_load(self, load_result: Any) -> None:
        """A checkpoint lacks what is frozen, on purpose; what trains has to be in it, and nothing else."""
        model: Any = self.model
        wrong = sorted(_trains(model) & set(load_result.missing_keys)) + sorted(load_result.unexpected_keys)
        if wrong:
            raise RuntimeError(f"The checkpoint is of another delta: {', '.join(wrong[:3])} is in one and not in the other.")


def _trains(model: nn.Module) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}

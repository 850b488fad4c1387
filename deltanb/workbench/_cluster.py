"""The verb that leaves the notebook: a script that trains the same on many processes."""

from __future__ import annotations

from pathlib import Path

from deltanb import cluster
from deltanb.reports import Outcome
from deltanb.workbench._core import Core
from deltanb.workbench._recipe import recipe_of

__all__ = ["Cluster"]


class Cluster(Core):
    """The verb of `Core` that writes a training script."""

    def script(self, file: str | Path, *, configs: bool = False, force: bool = False) -> Outcome:
        """Write a script that trains what is on the workbench, in one process or many. The same again changes nothing.

        Args:
            file: of the script; another file is never replaced without ``force``.
            configs: write configurations for ``accelerate launch`` beside it: DDP, FSDP, DeepSpeed.
            force: replace what is there.

        Raises:
            DeltaError: there is no backbone, something exists in this session alone, or a file cannot be written.
        """
        path = Path(file).expanduser()
        recipe = recipe_of(self.backbone_in_use, self.steps, self.result)
        texts = {path: cluster.script_of(recipe, path.name)}
        texts |= {path.with_name(name): text for name, text in cluster.configs().items()} if configs else {}
        with self.locked("code"):
            changed = cluster.write(texts, force=force)
        title = f"Wrote {path}." if path in changed else f"{path} holds just that already: left as it is."
        facts = {"trains": recipe.what, **({"beside it": ", ".join(cluster.configs())} if configs else {})}
        facts |= {"one process": f"python {path}", "several": f"torchrun --nproc_per_node 2 {path}"}
        return Outcome(title, facts, list(recipe.notes), next=f"python {path} --help", value=path)

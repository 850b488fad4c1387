"""``compare``: several deltas on one backbone, the same rows in the same order for each."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deltanb._shield import Shield
from deltanb.comparison._candidates import asked_for, expanded
from deltanb.comparison._checks import check_places, checked_seeds, checked_settings
from deltanb.comparison._display import comparison_display
from deltanb.comparison._folder import RunFolder, default_folder
from deltanb.comparison._key import backbone_facts, data_digest
from deltanb.comparison._one import Laboratory
from deltanb.comparison._schedule import Schedule
from deltanb.comparison._state import bare
from deltanb.datasets import as_text_data
from deltanb.training._frozen import check_cacheable
from deltanb.training._subject import check_head, subject_of

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping, Sequence

    from deltanb.reports import ComparisonReport
    from deltanb.training import Live

__all__ = ["compare"]


def compare(  # noqa: PLR0913
    backbone: Any,
    candidates: object,
    on: object,
    *,
    seeds: int | Sequence[int] = 3,
    options: Mapping[str, Any] | None = None,
    layers: str | Sequence[str] = (),
    lr: Any = None,
    exclude: str | Sequence[str] = (),
    folder: str | Path | None = None,
    restart: bool = False,
    tokenizer: Any = None,
    text: str | None = None,
    label: str | None = None,
    display: str | bool | Live = "auto",
    stop: threading.Event | None = None,
    **training: Any,
) -> ComparisonReport:
    """Train several deltas on the same backbone with the same rows in the same order, and show what each gives and takes.

    Every run starts from the backbone as it is without its deltas, with the classifier's values of now, which train along.
    Afterwards the backbone, its deltas and all weights are as before. Each finished run is written to a folder, so that the
    same call goes on where an interrupt (the kernel's stop button, Ctrl-C) ended it, and more seeds or candidates cost only
    what is new. Seed by seed, so that after the first round there is one run of each.

    Args:
        backbone: a backbone, or a ``torch.nn.Module`` whose ``forward`` takes ``labels``.
        candidates: what to compare, as a text: types, each with its places and options behind it
            (``"adapter lora query,value r=1,2,4,8 bitfit head"``; several values are tried in turn). ``head`` trains the
            classifier alone, ``full`` everything. Or a list of texts, configs and dictionaries: see `asked_for`.
        on: the data, as for `deltanb.train`.
        seeds: how many (0, 1, …), or which. A seed decides a delta's first values, the order of rows, and dropout.
        options: for every type that has them, unless it has its own: ``{"r": [1, 2, 4]}``.
        layers: hold the deltas to these layers, one set after the other: ``["0-2", "3-5", "all"]``.
        lr: the learning rate, or several to be tried; default: what was measured for the type.
        exclude: patterns that all leave out, with everything below.
        folder: where runs are kept; default: ``deltanb-runs/`` and a folder for each backbone in it.
        restart: run everything anew, whatever is kept.
        tokenizer: of transformers; a backbone brings its own.
        text: the column of texts.
        label: the column of labels.
        display: as for `deltanb.train`; a display of your own is given a `ComparisonProgress`.
        stop: set it (from another thread) to stop after the present step, like an interrupt.
        training: ``epochs``, ``batch_size``, ``max_steps``, ``rows``, ``max_length``, ``weight_decay``, ``warmup``,
            ``cache_frozen``, …: as for `deltanb.train`.

    Returns:
        The report: ``.df`` (a row a candidate), ``.runs`` (a row a run), ``.svg()``; draws itself.

    Raises:
        DeltaError: an unknown type, option or data set, a pattern without a hit, a folder of another backbone, …: before
            anything runs. A run that fails later is told in the report, and the others go on.

    Example:
        >>> import tempfile
        >>> from deltanb import compare, load_backbone
        >>> backbone = load_backbone("bert-tiny", random=True)
        >>> films = [(f"{word} film {i}", word) for i in range(20) for word in ("good", "bad")]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     found = compare(backbone, "lora r=1,2 head", films, seeds=1, max_steps=1, folder=folder, display=False)
        >>> found.df["name"].tolist(), found.df["trainable"].tolist()
        (['lora r=1', 'lora r=2', 'head'], [1282, 2306, 258])
    """
    settings = checked_settings(training)
    wanted = checked_seeds(seeds)
    several = [layers] if isinstance(layers, str) and layers else list(layers)
    left_out = [exclude] if isinstance(exclude, str) else list(exclude)
    chosen = expanded(asked_for(candidates), options or {}, several, lr, left_out)
    subject = subject_of(backbone, tokenizer)
    task = as_text_data(on, text=text, label=label)
    check_head(subject, task)
    if settings.cache_frozen:
        check_cacheable(subject)
    task = task if settings.rows is None else task.limit(settings.rows)
    live = comparison_display(display)
    with Shield() as shield, bare(subject.bare):
        places = check_places(subject, chosen)
        facts = backbone_facts(subject.name, subject.bare)
        place = RunFolder(Path(folder).expanduser() if folder else default_folder(facts), facts)
        schedule = Schedule(subject.name, task.name, place, facts, restart=restart)
        digest = data_digest(subject, task)
        for seed in wanted:
            for candidate in chosen:
                schedule.add(candidate, places[candidate.name], settings, seed, digest)
        try:
            with closing(Laboratory(subject, task, settings, stop, shield)) as laboratory:
                schedule.carry_out(laboratory, live, shield)
        except BaseException as error:
            live.fail(error)
            raise
    live.finish(schedule.report)  # type: ignore[arg-type]
    return schedule.report

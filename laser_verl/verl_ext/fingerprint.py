"""What tells the training data of one run from those of another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datasets import Dataset
from omegaconf import DictConfig

from laser_verl.core.keys import prompt_key

# at either end of the data set
_ROWS_SEEN = 100


def data_fingerprint(dataset: Any, data: DictConfig) -> dict[str, Any]:
    """Names of the files, number of rows, and where they can be read without decoding images, the outer prompts.

    Args:
        dataset: verl's, or a user's own.
        data: verl's ``config.data``.

    Returns:
        ``train_files``, ``train_rows`` and, of most data sets, ``train_prompts``.
    """
    files = data.train_files
    names = [Path(str(name)).name for name in ([files] if isinstance(files, str) else files)]
    seen = {"train_files": names, "train_rows": len(dataset)}
    prompts = None if _is_drawn_anew(data) else _prompts_seen(dataset, data)
    return seen if prompts is None else {**seen, "train_prompts": prompts}


def _is_drawn_anew(data: DictConfig) -> bool:
    """Whether verl takes other rows of the files in every run, a resumed one too."""
    return (data.get("train_max_samples") or -1) > 0 and bool(data.get("shuffle")) and data.get("seed") is None


def _prompts_seen(dataset: Any, data: DictConfig) -> str | None:
    """One key for the first and last rows of verl's data set; None for one that keeps its rows another way."""
    frame = getattr(dataset, "dataframe", None)
    if not isinstance(frame, Dataset) or data.prompt_key not in frame.column_names:
        return None
    # the other columns may hold images
    names = [name for name in ("data_source", data.prompt_key, "reward_model") if name in frame.column_names]
    every = range(len(frame))
    rows = frame.select_columns(names)[sorted({*every[:_ROWS_SEEN], *every[-_ROWS_SEEN:]})]
    prompts = rows[data.prompt_key]
    nothing = [None] * len(prompts)
    golds = [(row or {}).get("ground_truth") for row in rows.get("reward_model", nothing)]
    keys = [prompt_key(*row) for row in zip(rows.get("data_source", nothing), prompts, golds, strict=True)]
    return prompt_key(None, keys, None)

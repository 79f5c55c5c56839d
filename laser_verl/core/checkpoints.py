"""The state among the other files of a run's checkpoints: whose it is, and when it goes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from laser_verl.core.state import NAME

logger = logging.getLogger(__name__)

STEP_FOLDER = "global_step_"
"""How verl names the folder of a step's checkpoint, the number behind it."""

# Another data set goes on with what is known of the prompts that both have.
_DATA = ("train_files", "train_prompts", "train_rows")


def compare_fingerprints(saved: Mapping[str, Any], current: Mapping[str, Any], path: Path) -> list[str]:
    """Compare the run that a state belongs to with this one.

    A key that only one of the two has is not compared: earlier releases had fewer, and not every data set tells all.

    Args:
        saved: the fingerprint in the file.
        current: that of this run.
        path: the file, for the message.

    Returns:
        What differs of the data, e.g. ``["train_rows was 48, is 50"]``; the state goes on with other data.

    Raises:
        ValueError: something else differs; the message names each difference and how to go on.
    """
    differing = [key for key in sorted(set(saved) & set(current)) if saved[key] != current[key]]
    texts = {key: f"{key} was {saved[key]!r}, is {current[key]!r}" for key in differing}
    if refused := [text for key, text in texts.items() if key not in _DATA]:
        raise ValueError(
            f"laser_verl: {path} belongs to another run: {'; '.join(refused)}. Set these back to resume, "
            "or delete the file to keep the weights and start afresh"
        )
    return list(texts.values())


def remove_orphans(root: Path, current_step: int) -> None:
    """Remove the state of checkpoints whose weights verl has removed (``trainer.max_actor_ckpt_to_keep``).

    Where the step just saved has no ``actor`` folder either, the weights lie on another machine, and nothing is done.

    Args:
        root: the folder of the run's checkpoints, ``trainer.default_local_dir``.
        current_step: the step just saved, by verl too.
    """
    if not (root / f"{STEP_FOLDER}{current_step}" / "actor").is_dir():
        return
    for path in root.glob(f"{STEP_FOLDER}*/{NAME}"):
        step = step_of(path.parent)
        if step is None or step >= current_step or (path.parent / "actor").exists():
            continue
        try:
            path.unlink()
        except OSError as error:
            logger.warning(
                "laser_verl: %s belongs to no checkpoint any more and cannot be removed: %s", path, error.strerror
            )


def step_of(folder: Path) -> int | None:
    """Read the step in the name of a checkpoint's folder; None for another folder."""
    digits = folder.name.removeprefix(STEP_FOLDER)
    return int(digits) if digits != folder.name and digits.isascii() and digits.isdigit() else None

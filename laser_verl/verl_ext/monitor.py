"""LASER-D's monitor set: a fixed set of prompts that the model answers every so many steps, to see how long it thinks.

Source: arXiv 2505.15612, section 5.2.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from laser_verl.core.checks import Ints
from laser_verl.core.monitor import Monitoring
from laser_verl.core.prompt_index import Keys
from laser_verl.core.rollouts import Rollouts
from laser_verl.verl_ext.prompt_rows import KeyedRows


class Monitor:
    """The monitor set of a run."""

    def __init__(self, monitoring: Monitoring, rows: KeyedRows, seed: int) -> None:
        """Draw the set.

        Args:
            monitoring: How many prompts, from where, and when.
            rows: The training data, or the file of its own.
            seed: Of the choice: the same rows give the same set.

        Raises:
            ValueError: The training data have fewer rows.
        """
        if len(rows) < monitoring.size and monitoring.file is None:
            raise ValueError(
                f"laser_verl: reward.reward_kwargs.monitor.size={monitoring.size} prompts are more than the "
                f"{len(rows)} rows of the training data; give fewer, e.g. {max(1, len(rows) // 10)}"
            )
        self.monitoring = monitoring
        self._rows = rows
        size = min(monitoring.size, len(rows))
        self.numbers: Ints = np.sort(np.random.default_rng(seed).choice(len(rows), size, replace=False))
        self.tokens = {"monitor": 0, "train": 0}
        """Generated so far, by what for."""
        self._last: dict[str, float] = {}

    def prompts(self) -> list[dict[str, Any]]:
        """The rows of the set, in a fixed order."""
        return [self._rows[int(number)] for number in self.numbers]

    def excluded(self) -> Keys:
        """Keys of the prompts that are not to be trained on, none unless ``monitor.exclude``."""
        return self._rows.keys()[self.numbers] if self.monitoring.exclude else np.zeros(0, dtype=np.uint64)

    def count(self, rollouts: Rollouts, is_pass: bool = False) -> dict[str, float]:
        """Count the tokens of a batch of the training, or of a pass over the set.

        Returns:
            What a step logs: ``laser/monitor/token_frac``, the share of all tokens so far that monitoring cost; and, in
            the step that a pass came before, its accuracy and mean response length.
        """
        self.tokens["monitor" if is_pass else "train"] += int(rollouts.length.sum())
        if is_pass:
            self._last = {
                "laser/monitor/accuracy": float(rollouts.solved.mean()),
                "laser/monitor/response_length": float(rollouts.length.mean()),
            }
            return {}
        last, self._last = self._last, {}
        return {"laser/monitor/token_frac": self.tokens["monitor"] / max(sum(self.tokens.values()), 1), **last}

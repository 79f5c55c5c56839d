"""The metrics of a run's training steps, from verl's file logger."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from laser_verl.core.bands import BANDS

ACCURACY = "laser/accuracy"
TOKENS = "laser/response_length/mean"
SECONDS = "timing_s/step"
TARGETS: Mapping[str, str] = {band: f"laser/target_length/{band}" for band in BANDS}

Step = dict[str, float]


class History:
    """Metrics by step; follows the files while they grow."""

    def __init__(self, folder: Path) -> None:
        """Read what is there.

        Args:
            folder: Holds one JSONL file per start of the run, named in their order. A run that goes on repeats the
                steps after its last checkpoint, so a later file replaces steps of an earlier one.
        """
        self._folder = folder
        self._offsets: dict[Path, int] = {}
        self.steps: dict[int, Step] = {}
        self.update()

    def update(self) -> None:
        """Read the lines that have come since."""
        for file in sorted(self._folder.glob("*.jsonl")):
            with file.open("rb") as lines:
                lines.seek(self._offsets.get(file, 0))
                for line in lines:
                    # The last line may still be on its way.
                    if not line.endswith(b"\n"):
                        break
                    self._offsets[file] = self._offsets.get(file, 0) + len(line)
                    entry = json.loads(line)
                    self.steps.setdefault(int(entry["step"]), {}).update(entry["data"])

    @property
    def trained(self) -> dict[int, Step]:
        """The steps in which the model was trained, in order; step 0 is the evaluation of the base model."""
        return {step: self.steps[step] for step in sorted(self.steps) if ACCURACY in self.steps[step]}

    def series(self, name: str) -> tuple[list[int], list[float]]:
        """A metric over the training steps that have it.

        Args:
            name: Name of the metric.

        Returns:
            Steps and values.
        """
        points = [(step, metrics[name]) for step, metrics in self.trained.items() if name in metrics]
        return [step for step, _ in points], [value for _, value in points]

    def seconds_per_step(self, recent: int = 10) -> float | None:
        """Mean seconds of the last steps, None before the first.

        Args:
            recent: How many of them.

        Returns:
            Seconds, the first step of a start left out where there are others: it warms up.
        """
        seconds = self.series(SECONDS)[1][-recent:]
        if len(seconds) > 1:
            seconds = seconds[1:] if len(seconds) < recent else seconds
        return sum(seconds) / len(seconds) if seconds else None


def describe_step(metrics: Step) -> str:
    """Accuracy, tokens and targets of a training step in a few words.

    Args:
        metrics: Metrics of the step.

    Returns:
        For example ``accuracy 64 %, 33 tokens, targets 16/28/160``.
    """
    text = f"accuracy {100 * metrics[ACCURACY]:.0f} %, {metrics[TOKENS]:.0f} tokens"
    targets = [f"{metrics[name]:.0f}" for name in TARGETS.values() if name in metrics]
    return f"{text}, targets {'/'.join(targets)}" if targets else text

"""One picture of a run: tokens, accuracy and target lengths over the steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from laser_verl.quickstart.evaluation import Estimate, Row
from laser_verl.quickstart.history import ACCURACY, TARGETS, TOKENS, History

# Okabe and Ito's palette: told apart with any colour vision; the dashes tell them apart in grey.
_BLACK, _GREY = "#000000", "#7F7F7F"
_BANDS: Mapping[str, tuple[str, str]] = {
    "easy": ("#0072B2", "-"),
    "medium": ("#E69F00", "--"),
    "hard": ("#D55E00", "-."),
}


def save_picture(history: History, overall: Row, last_step: int, title: str, path: Path) -> Path:
    """Draw the run into a PNG file.

    Args:
        history: Metrics of the training steps.
        overall: The table's line of all held-out problems.
        last_step: Step of the evaluation after training.
        title: Heading of the picture.
        path: The file.

    Returns:
        The file.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    has_targets = any(history.series(name)[0] for name in TARGETS.values())
    figure = Figure(figsize=(7.2, 7.6 if has_targets else 5.4), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(3 if has_targets else 2, 1, sharex=True)
    figure.suptitle(title, fontsize=11)
    _draw_measure(panels[0], history, TOKENS, "tokens per response", 1.0)
    _draw_held_out(panels[0], last_step, overall.tokens_before, overall.tokens_after, 1.0)
    _draw_measure(panels[1], history, ACCURACY, "accuracy, %", 100.0)
    _draw_held_out(panels[1], last_step, overall.accuracy_before, overall.accuracy_after, 100.0)
    panels[0].set_ylim(bottom=0)
    panels[1].set_ylim(0, 100)
    panels[0].legend(loc="best", fontsize=8, frameon=False)
    if has_targets:
        _draw_targets(panels[2], history)
    panels[-1].set_xlabel("training step")
    for panel in panels:
        panel.grid(alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=140)
    return path


def _draw_measure(panel: Any, history: History, name: str, label: str, scale: float) -> None:
    steps, values = history.series(name)
    scaled = [scale * value for value in values]
    panel.plot(steps, scaled, color=_GREY, linewidth=0.8, alpha=0.6, label="training batches")
    panel.plot(steps, running_mean(scaled), color=_BLACK, linewidth=1.8, label="mean of ten steps")
    panel.set_ylabel(label)


def _draw_held_out(panel: Any, last_step: int, before: Estimate, after: Estimate, scale: float) -> None:
    panel.errorbar(
        [0, last_step],
        [scale * before.mean, scale * after.mean],
        # Two standard errors, about 95 %.
        yerr=[2 * scale * before.error, 2 * scale * after.error],
        fmt="o",
        color="#009E73",
        capsize=3,
        zorder=5,
        label="held-out problems, ± 2 standard errors",
    )


def _draw_targets(panel: Any, history: History) -> None:
    for band, name in TARGETS.items():
        steps, values = history.series(name)
        if not steps:
            continue
        colour, dashes = _BANDS[band]
        panel.step(steps, values, where="post", color=colour, linestyle=dashes, linewidth=1.8, label=band)
    panel.set_ylabel("target length, tokens")
    panel.set_ylim(bottom=0)
    panel.legend(loc="best", fontsize=8, frameon=False, title="difficulty band", title_fontsize=8)


def running_mean(values: Sequence[float], width: int = 10) -> list[float]:
    """Mean of each value and those before it.

    Args:
        values: Any numbers.
        width: How many values at most.

    Returns:
        As many means; of 2, 4, 9 with width 2 they are 2, 3, 6.5.
    """
    means = []
    for end in range(1, len(values) + 1):
        window = values[max(0, end - width) : end]
        means.append(sum(window) / len(window))
    return means

"""The picture of a summary: accuracy against tokens, with intervals and curves under budgets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from laser_verl.commands import CommandError

# Okabe and Ito's palette, told apart with any colour vision; the marks tell results apart in grey.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#000000")
_MARKS = "osD^vP*"
_MOST_COLUMNS = 3


def save_picture(summary: Mapping[str, Any], path: Path) -> Path:
    """Draw a summary into a PNG file, a panel for each benchmark and one for their average.

    Args:
        summary: What `summarise` gave.
        path: The file.

    Returns:
        The file.

    Raises:
        CommandError: If it cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    results = summary["results"]
    names = list(dict.fromkeys(name for result in results for name in result["benchmarks"]))
    titles = [*names, *(["average"] if len(names) > 1 else [])]
    columns = min(_MOST_COLUMNS, len(titles))
    rows = -(-len(titles) // columns)
    figure = Figure(figsize=(max(6.4, 4.4 * columns), 4.4 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for title, panel in zip(titles, panels, strict=False):
        for number, result in enumerate(results):
            one = result["average"] if title == "average" else result["benchmarks"].get(title)
            if one is not None:
                _draw(panel, one, result["name"], _COLOURS[number % len(_COLOURS)], _MARKS[number % len(_MARKS)])
        panel.set_title(title, fontsize=10)
        panel.set_xlabel("tokens per response")
        panel.set_ylabel("accuracy, %")
        panel.set_xlim(left=0)
        panel.grid(alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
    for panel in panels[len(titles) :]:
        panel.set_visible(False)
    shown = {}
    for panel in panels:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            shown.setdefault(label, handle)
    panels[0].legend(shown.values(), shown, loc="best", fontsize=8, frameon=False)
    scratch = path.with_name(f".{path.name}.part")
    try:
        # without a date, so that the same summary gives the same bytes
        figure.savefig(scratch, dpi=140, format="png", metadata={"Software": None})
        os.replace(scratch, path)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}") from error
    return path


def _draw(panel: Any, one: Mapping[str, Any], name: str, colour: str, mark: str) -> None:
    if curve := one.get("budgets"):
        points = [*curve, one]
        xs, ys = ([scale * point[key]["mean"] for point in points] for key, scale in (("tokens", 1), ("accuracy", 100)))
        panel.plot(xs, ys, color=colour, linewidth=1.2, marker=".", alpha=0.8, label=f"{name}, thoughts cut")
    panel.errorbar(
        [one["tokens"]["mean"]],
        [100 * one["accuracy"]["mean"]],
        xerr=_error(one["tokens"], 1),
        yerr=_error(one["accuracy"], 100),
        fmt=mark,
        color=colour,
        capsize=3,
        zorder=5,
        label=name,
    )
    if first := one.get("first_finish"):
        panel.plot(
            [first["tokens"]["mean"]],
            [100 * first["accuracy"]["mean"]],
            mark,
            color=colour,
            fillstyle="none",
            label=f"{name}, first to finish",
        )


def _error(value: Mapping[str, float | None], scale: float) -> list[list[float]] | None:
    mean, low, high = value["mean"], value["low"], value["high"]
    if mean is None or low is None or high is None:
        return None
    return [[scale * (mean - low)], [scale * (high - mean)]]

"""Table and picture of what `benchmarks/tracker.py` measures.

By `python benchmarks/tracker.py --picture docs/figures/tracker_scale.svg`.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

DRAW, OBSERVE, LEARN = "draw, ms: median / longest", "tracker, ms", "policy.observe, ms"
FILE, PEAK, BYTES = (
    "laser_state, s: clock / processor",
    "laser_state, bytes a prompt",
    "bytes a prompt + column of data",
)
TARGETS = {DRAW: 20.0, OBSERVE: 5.0, "save": 10.0, "load": 5.0, BYTES: 64.0}
SHARED = ("tracker", "index")
"""Rows of `BYTES` that are of no policy."""

Measured = Mapping[str, Mapping[str, tuple[float, ...]]]
"""Numbers by heading and row; of bytes a policy's own, and those of its column."""

# Colours of Okabe and Ito's palette; lines of one colour differ by their dashes.
_COLOURS = {
    "#000000": ("observe",),
    "#0072B2": ("uniform", "sequential", "column_mix", "curriculum"),
    "#009E73": ("greso", "skip_solved"),
    "#CC79A7": ("mopps",),
    "#E69F00": ("sec", "adarft (labels)"),
    "#D55E00": ("adarft (tracked)", "band_mix", "dots", "max_entropy", "prioritised"),
}
_STYLES = {
    name: {"color": colour, "linestyle": dashes}
    for colour, names in _COLOURS.items()
    for name, dashes in zip(names, ("-", "--", "-.", ":", (0, (3, 1, 1, 1, 1, 1))), strict=False)
}
_GREY = "#666666"
_LONGEST, _TRACKER = "longest draw, the first of a round", "tracker alone"
_LINE = 0.045  # of text, as a share of a panel's height


def bytes_in_all(measured: Measured, name: str) -> float:
    """Bytes a prompt of tracker, index and policy, with the column that it reads."""
    return sum(sum(measured[BYTES][part]) for part in (*SHARED, name))


def written(values: tuple[float, ...], heading: str = "") -> str:
    """The numbers of a row at one size."""
    texts = [f"{value:.{2 - (value >= 10) - (value >= 100)}f}" for value in values]
    return " + ".join(texts[: 1 + (values[1] > 0)]) if heading == BYTES else " / ".join(texts)


def table_of(found: Mapping[int, Measured], grows: Mapping[str, Mapping[str, str]]) -> Table:
    """All numbers, and whether they are within their targets at the largest size.

    Args:
        found: By number of prompts.
        grows: How the numbers grow, by heading and row.

    Returns:
        The table.
    """
    last = found[max(found)]
    table = Table("", *(f"{size:,}" for size in found), "target", f"met at {max(found):,}", "grows as")
    for column in table.columns[1:-2]:
        column.justify = "right"
    for heading, rows in last.items():
        table.add_row(f"[bold]{heading}")
        for name, values in rows.items():
            cells = [written(measured[heading][name], heading) for measured in found.values()]
            target, note = TARGETS.get(heading, TARGETS.get(name)), ""
            if heading == BYTES:
                target = None if name in SHARED else target
                values = (bytes_in_all(last, name),)
                note = f", {values[0]:.1f} in all"
            met = [] if target is None else ["yes" if round(value, 2) <= target else "no" for value in values]
            verdict = (f"{target:.0f}", " / ".join(met) + note) if met else ("", "")
            table.add_row(f"  {name}", *cells, *verdict, grows.get(heading, {}).get(name, ""))
        table.add_section()
    return table


def _labels(ends: Mapping[str, float], near: float) -> list[tuple[str, float, str]]:
    """Text, height and colour of the labels, rising; lines of one colour get one if they end near each other."""
    groups: dict[str, list[dict[str, float]]] = {}
    for name, value in sorted(ends.items(), key=lambda end: end[1]):
        of_colour = groups.setdefault(_style(name)["color"], [{}])
        if of_colour[-1] and value > near * min(of_colour[-1].values()):
            of_colour.append({})
        of_colour[-1][name] = value
    labels = []
    for colour, of_colour in groups.items():
        for group in of_colour:
            names = ", ".join(name.replace(" (", "\N{NO-BREAK SPACE}(") for name in ends if name in group)
            labels.append((textwrap.fill(names, 22), float(np.exp(np.mean(np.log(list(group.values()))))), colour))
    return sorted(labels, key=lambda label: label[1])


def _apart(centres: list[float], heights: list[float]) -> list[float]:
    """Move labels as little as need be so that none covers another; those that would stay together, centred."""
    stacks: list[tuple[list[float], list[float]]] = []  # where each label would have the stack begin, and heights
    for centre, height in zip(centres, heights, strict=True):
        begins, parts = [centre - height / 2], [height]
        while stacks and np.mean(stacks[-1][0]) + sum(stacks[-1][1]) > np.mean(begins):
            below, under = stacks.pop()
            begins, parts = below + [begin - sum(under) for begin in begins], under + parts
        stacks.append((begins, parts))
    return [
        float(np.mean(begins)) + sum(parts[:number]) + parts[number] / 2
        for begins, parts in stacks
        for number in range(len(parts))
    ]


def _name_lines(panel: Any, ends: Mapping[str, float], near: float) -> None:
    """Name lines beside their ends."""
    low, high = np.log(panel.get_ylim())
    labels = _labels(ends, near)
    centres = [float((np.log(value) - low) / (high - low)) for _, value, _ in labels]
    heights = [_LINE * (1 + text.count("\n")) for text, _, _ in labels]
    for (text, value, colour), at in zip(labels, _apart(centres, heights), strict=True):
        panel.annotate(
            text,
            xy=(1.0, value),
            xycoords=panel.get_yaxis_transform(),
            xytext=(1.1, at),
            textcoords="axes fraction",
            fontsize=8,
            verticalalignment="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "relpos": (0, 0.5), "shrinkA": 1, "shrinkB": 0},
        )


def _style(name: str) -> dict[str, Any]:
    return _STYLES.get(name, {"color": _GREY, "linestyle": ":"})


def _panel(panel: Any, title: str, lines: Mapping[str, list[float]], sizes: list[int], target: float) -> None:
    for name, values in lines.items():
        panel.plot(sizes, values, linewidth=1.4, **_style(name))
    panel.axhline(target, color=_GREY, linestyle="--", linewidth=1)
    panel.set(title=title, xscale="log", yscale="log", xlabel="prompts in the pool", xlim=(min(sizes), max(sizes)))
    panel.title.set_fontsize(10)
    panel.grid(alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)


def draw(found: Mapping[int, Measured], path: Path) -> None:
    """Draw what a draw takes, and what a prompt takes, by the size of the pool."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    sizes, measured = list(found), list(found.values())
    policies = [name for name in measured[-1][BYTES] if name not in SHARED]
    times = {"observe": [one[OBSERVE]["observe"][0] for one in measured]}
    times |= {name: [one[DRAW][name][0] for one in measured] for name in policies}
    times[_LONGEST] = [max(one[DRAW][name][1] for name in policies) for one in measured]
    held = {_TRACKER: [sum(one[BYTES][part][0] for part in SHARED) for one in measured]}
    held |= {name: [bytes_in_all(one, name) for one in measured] for name in policies}
    with matplotlib.rc_context({"svg.hashsalt": "laser_verl", "svg.fonttype": "none"}):
        figure = Figure(figsize=(8.0, 4.2), layout="constrained")
        FigureCanvasSVG(figure)
        left, right = figure.subplots(1, 2)
        _panel(left, "milliseconds for 1,024 prompts", times, sizes, TARGETS[DRAW])
        left.set_ylim(0.03, 2000)
        left.yaxis.set_major_formatter("{x:g}")
        _panel(right, "bytes a prompt, all that is held", held, sizes, TARGETS[BYTES])
        right.set_ylim(44, 84)
        right.set_yticks([], minor=True)
        right.set_yticks([48, 56, 64, 72, 80], labels=["48", "56", "64", "72", "80"])
        _name_lines(left, {name: values[-1] for name, values in times.items()}, 1.15)
        _name_lines(right, {name: values[-1] for name, values in held.items()}, 1.01)
        left.text(sizes[0], 1.15 * TARGETS[DRAW], " target of a draw", fontsize=8, color=_GREY)
        right.text(sizes[-1], 0.983 * TARGETS[BYTES], "target", fontsize=8, color=_GREY, ha="right", va="center")
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})

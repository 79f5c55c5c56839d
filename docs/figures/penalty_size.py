"""How much a length term moves advantages, by its weight: `python docs/figures/penalty_size.py`.

Shapes one batch with kimi under several weights: eight lengths, once all right, once five of them right, once one.
Writes penalty_size.svg beside this file, or where `--out` says, and prints the table of docs/methods.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from laser_verl.core import Rollouts, Shaped, build
from laser_verl.core.advantages.base import build_rule, group_normalised
from laser_verl.core.advantages.gdpo import decoupled
from laser_verl.core.checks import Floats

LENGTHS = (800, 1200, 1500, 2000, 3000, 4000, 6000, 9000)
CORRECT = {
    "every answer right": (1, 1, 1, 1, 1, 1, 1, 1),
    "five of eight right": (1, 1, 1, 1, 0, 1, 0, 0),
    "one of eight right": (0, 0, 1, 0, 0, 0, 0, 0),
}
SHOWN = tuple(CORRECT)[:2]
QUOTED_WEIGHTS = (0.01, 0.1, 1.0, 10.0)


def batch() -> Rollouts:
    """The three groups."""
    prompt = np.repeat(np.arange(len(CORRECT)), len(LENGTHS))
    return Rollouts.build(prompt, np.tile(LENGTHS, len(CORRECT)), np.concatenate(list(CORRECT.values())))


def _grpo(rollouts: Rollouts, weight: float) -> Floats:
    return group_normalised(rollouts, _kimi(rollouts, weight).reward)


def _without_std(rollouts: Rollouts, weight: float) -> Floats:
    return group_normalised(rollouts, _kimi(rollouts, weight).reward, norm_by_std=False)


def _dler(rollouts: Rollouts, weight: float) -> Floats:
    shaped = _kimi(rollouts, weight)
    return build_rule("dler").advantages(rollouts, shaped, shaped.reward).values


def _gdpo(rollouts: Rollouts, weight: float) -> Floats:
    shaped = _kimi(rollouts, 1.0)
    return decoupled(rollouts, (shaped.task_reward, shaped.length_reward), (1.0, weight))


def _kimi(rollouts: Rollouts, weight: float) -> Shaped:
    return build("kimi", {"weight": weight}).shape(rollouts)


# Name, advantages by weight, colour of Okabe and Ito's palette, dashes.
RULES: tuple[tuple[str, Callable[[Rollouts, float], Floats], str, str], ...] = (
    ("grpo", _grpo, "#D55E00", "-"),
    ("grpo without std", _without_std, "#0072B2", "--"),
    ("dler", _dler, "#009E73", "-."),
    ("gdpo, by its own weights", _gdpo, "#CC79A7", ":"),
)


def spread(rollouts: Rollouts, advantages: Floats, group: str) -> float:
    """Sample standard deviation of the advantages of a group's right responses: what their lengths alone do."""
    mask = (rollouts.group == list(CORRECT).index(group)) & rollouts.solved
    return float(advantages[mask].std(ddof=1))


def spreads(group: str, rule: Callable[[Rollouts, float], Floats], weights: Sequence[float]) -> list[float]:
    """The spread in a group under a rule, by weight."""
    rollouts = batch()
    return [spread(rollouts, rule(rollouts, weight), group) for weight in weights]


def table() -> str:
    """The numbers in Markdown."""
    lines = [f"| | weight {' | '.join(f'{weight:g}' for weight in QUOTED_WEIGHTS)} |", "| --- |" + " --- |" * 4]
    for name, rule, *_ in RULES:
        for group in SHOWN:
            values = spreads(group, rule, QUOTED_WEIGHTS)
            lines.append(f"| {name}, {group} | {' | '.join(f'{value:.3f}' for value in values)} |")
    rollouts = batch()
    alp = group_normalised(rollouts, build("alp").shape(rollouts).reward)
    right, mixed = (spread(rollouts, alp, group) for group in SHOWN)
    said = f"{right:.3f} where every answer is right, {mixed:.3f} in the other group"
    return "\n".join([*lines, "", f"`alp` with its published beta of 1e-7, under `grpo`: {said}."])


def draw(path: Path) -> None:
    """Write the figure, the same bytes each time."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    weights = np.geomspace(0.01, 10, 31).tolist()
    with matplotlib.rc_context({"svg.hashsalt": "laser_verl", "svg.fonttype": "none"}):
        figure = Figure(figsize=(8.0, 3.4), layout="constrained")
        FigureCanvasSVG(figure)
        panels = figure.subplots(1, len(SHOWN), sharey=True)
        for panel, group in zip(panels, SHOWN, strict=True):
            for name, rule, colour, dashes in RULES:
                panel.plot(weights, spreads(group, rule, weights), color=colour, linestyle=dashes, label=name)
            panel.set(title=group, xlabel="weight of the length term", xscale="log", yscale="log", ylim=(1e-3, 10))
            panel.title.set_fontsize(10)
            panel.grid(alpha=0.25)
            panel.spines[["top", "right"]].set_visible(False)
        panels[0].set_ylabel("spread of advantages\namong right answers")
        panels[1].legend(loc="lower right", fontsize=8, frameon=False)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def main() -> None:
    """Draw and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".svg"))
    draw(parser.parse_args().out)
    sys.stdout.write(table() + "\n")


if __name__ == "__main__":
    main()

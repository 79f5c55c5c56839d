"""The presets that are shipped as `configs/`: where they are, what each is, and what its paper published."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from laser_verl.core.checks import unknown

GROUPS = {
    "method": "what a response is worth",
    "sampler": "which prompts come next",
    "model": "model, rollout and batch sizes",
    "backend": "engine that trains",
    "hardware": "nodes and GPUs",
    "paper": "settings of a published training, chosen from the groups above",
}
"""The choices of the primary config, in the order in which they are put together."""

AVERAGE = "average"
"""Key of a mean over the benchmarks beside it."""


@dataclass(frozen=True)
class Published:
    """What a paper says of one training."""

    source: str
    """Paper."""

    table: str | None
    """Where it says so; None where the numbers stand in no table of results."""

    row: str
    """The training, as the table has it."""

    accuracy: Mapping[str, float]
    """Percent by benchmark, empty where there is none."""

    tokens: Mapping[str, int]
    """Mean tokens of a response by benchmark."""

    note: str | None = None
    """What to know before comparing, e.g. a slip of the paper."""

    @property
    def headline(self) -> str | None:
        """The benchmark to show where there is room for one: the average if there is one, else the last named."""
        return AVERAGE if AVERAGE in self.accuracy else next(reversed(self.accuracy), None)

    def sentence(self) -> str:
        """Say it in one sentence.

        Returns:
            `Table 6 of arXiv 2505.15612, LASER-D, L_T = 4096: 60.3 % with 3,520 tokens on average over MATH500, ...`.
        """
        what = f"{f'{self.table} of ' if self.table else ''}{self.source}, {self.row}"
        if (key := self.headline) is None:
            return f"{what}."
        names = [name for name in self.accuracy if name != AVERAGE]
        where = f"on average over {', '.join(names[:-1])} and {names[-1]}" if key == AVERAGE else f"on {key}"
        tokens = f" with {self.tokens[key]:,} tokens" if key in self.tokens else ""
        return f"{what}: {self.accuracy[key]} %{tokens} {where}."


@dataclass(frozen=True)
class Preset:
    """One choice of a group."""

    group: str
    name: str
    summary: str
    published: Published | None = None


def folder() -> Path:
    """Find the configs.

    Returns:
        `laser_verl/configs` of an installed wheel, `configs` of a clone.
    """
    package = Path(__file__).parent
    return package / "configs" if (package / "configs").is_dir() else package.parent / "configs"


def presets(group: str) -> list[Preset]:
    """List the choices of a group.

    Args:
        group: A key of `GROUPS`.

    Returns:
        The choices, by name; those of the group paper in the order of the papers' tables.

    Raises:
        ValueError: No such group.
    """
    if group not in GROUPS:
        raise ValueError(unknown("group of presets", group, GROUPS))
    names = [path.name.removesuffix(".yaml") for path in (folder() / group).glob("*.yaml")]
    order = list(published()) if group == "paper" else []
    return [_read(group, name) for name in sorted(names, key=lambda name: _place(name, order))]


@cache
def published() -> dict[str, Published]:
    """Read what the papers published.

    Returns:
        By name of the preset; names without a preset are models as they were before training.
    """
    entries: dict[str, Any] = json.loads((folder() / "paper" / "published.json").read_text(encoding="utf-8"))
    return {name: Published(**entry) for name, entry in entries.items()}


def comment(group: str, name: str) -> str:
    """Return the comment at the head of a preset, without Hydra's first line and on one line."""
    lines = (folder() / group / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    head = []
    for line in lines[lines[0].startswith("# @package") :]:
        if not line.startswith("#"):
            break
        head.append(line.lstrip("# "))
    return " ".join(head)


def _place(name: str, order: Sequence[str]) -> tuple[int, int, str]:
    """Where a name stands: in the given order, the rest after it, 2x8 before 16x8."""
    number = re.match(r"\d+", name)
    return order.index(name) if name in order else len(order), int(number[0]) if number else 0, name


def _read(group: str, name: str) -> Preset:
    of_paper = published().get(name) if group == "paper" else None
    if of_paper is not None:
        return Preset(group, name, of_paper.sentence(), of_paper)
    sentence = re.match(r".*?\.(?=\s+[A-Z]|$)", comment(group, name).partition(" Source:")[0])
    return Preset(group, name, sentence[0] if sentence else "")

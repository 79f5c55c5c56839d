"""Small passes over a monitor set with the targets that they give, worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from laser_verl.core import Context, LaserD, Method, Rollouts, build

CONTEXT = Context(group_size=4, max_response_length=40)
RECENT = {"lower_bound": 10, "interval": 10}
MONITOR = {**RECENT, "source": "monitor"}
FIXED = {"target_lengths": {"easy": 10, "medium": 20, "hard": 30}}

# K = 4, so C_d is 3, 2 and 1, and a band's target has to cover 1/3, 1/2 and all of its lengths.
# easy: 2 of 4 at 10 are enough; medium: 1 of 4 at 10 is not, 2 of 4 at 20 are; hard: 4 of 4 only at 30
FIRST = ([[5, 10, 15, 20], [10, 20, 30, 30], [30, 25, 5, 5]], [4, 2, 0])
AFTER_FIRST = {"easy": 10, "medium": 20, "hard": 30}
# easy: two groups, 1 of 8 at 10 and 4 of 8 at 20, where 8/3 are needed; hard: all at 20; medium: no group
SECOND = ([[10, 20, 30, 30], [20, 20, 30, 40], [20, 20, 5, 5]], [4, 3, 1])
AFTER_SECOND = {"easy": 20, "medium": 20, "hard": 20}


def batch(lengths: list[list[int]], solved: list[int], step: int = 1, sources: Any = None) -> Rollouts:
    """One group per list of lengths; the first `solved` of each are right, and all of it is of one of `sources`."""
    prompt = [group for group, row in enumerate(lengths) for _ in row]
    correct = [int(place < solved[group]) for group, row in enumerate(lengths) for place in range(len(row))]
    columns = {"data_source": [sources[group] for group in prompt]} if sources else {}
    return Rollouts.build(prompt, [n for row in lengths for n in row], correct, step=step, columns=columns)


def laser_d(options: Mapping[str, Any] = MONITOR, context: Context = CONTEXT, name: str = "laser_d") -> LaserD:
    method = build(name, options, context)
    assert isinstance(method, LaserD)
    return method


def prompts(method: Method) -> list[float]:
    return [value for name, value in method.metrics().items() if "target_prompts" in name]

"""Reference numbers of the other length rewards, and the table of which test replays which case."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from laser_verl.core import Context, Method, Rollouts, Shaped, build
from laser_verl.core.history import with_history
from laser_verl.core.tracker import DifficultyTracker

Case = dict[str, Any]

CASES: dict[str, Case] = {
    case["id"]: case
    for case in json.loads((Path(__file__).parents[1] / "golden" / "baselines.json").read_text())["cases"]
}


class Replays:
    """The cases that one module replays, and those that it leaves out, with reasons."""

    def __init__(self, left_out: dict[str, str] | None = None) -> None:
        self.left_out = left_out or {}
        self.replays: dict[str, Callable[[Case], None]] = {}

    def of(self, *names: str) -> Callable[[Callable[[Case], None]], Callable[[Case], None]]:
        """Say which cases a function replays."""

        def add(replay: Callable[[Case], None]) -> Callable[[Case], None]:
            assert not self.replays.keys() & set(names)
            assert set(names) <= CASES.keys()
            self.replays.update(dict.fromkeys(names, replay))
            return replay

        return add

    def run(self, name: str) -> None:
        self.replays[name](CASES[name])


def named(names: Iterable[str]) -> list[Any]:
    """The cases in order, each with where its numbers come from, e.g. `lc-r1/mixed (executed_official)`."""
    return [pytest.param(name, id=f"{name} ({CASES[name]['derivation']})") for name in sorted(names)]


def rollouts_of(inputs: Case, **extra: Any) -> Rollouts:
    """The responses of a case; one group where it names no prompts."""
    size = len(inputs["lengths"])
    return Rollouts.build(inputs.get("prompt", [0] * size), inputs["lengths"], inputs["correct"], **extra)


def rewards_of(name: str, options: dict[str, Any], rollouts: Rollouts, context: Context | None = None) -> np.ndarray:
    """What a fresh method makes of one batch."""
    method = build(name, options, context)
    method.observe(rollouts)
    return method.shape(rollouts).reward


class Course:
    """A method and the tracker beside it, step by step as in a run."""

    def __init__(self, method: Method) -> None:
        self.method, self.tracker = method, DifficultyTracker()

    def step(self, rollouts: Rollouts) -> Shaped:
        """Shape a batch, then learn from it what later ones are told of its prompts."""
        rollouts = with_history(rollouts, self.tracker, self.method.columns)
        self.method.observe(rollouts)
        shaped = self.method.shape(rollouts)
        self.tracker.observe(rollouts)
        return shaped


def close(case: Case, got: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(got, dtype=float), expected, rtol=0, atol=case["tolerance"])

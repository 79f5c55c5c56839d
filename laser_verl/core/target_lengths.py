"""Target length per difficulty band from the lengths of rollouts: the adaptive part of LASER-D.

Shape letters: B responses of a batch, R responses in the window.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laser_verl.core.bands import BANDS, Rounding, band_of, least_solved
from laser_verl.core.checks import Bools, Ints, check_reachable, positive_int, unknown
from laser_verl.core.coverage import Summary, choose_target, coverage, summarise, target_grid
from laser_verl.core.rollouts import Rollouts

__all__ = ["Summary", "TargetLengths", "choose_target", "coverage", "summarise", "target_grid"]

STATE_VERSION = 1
_CONFIG = ("lower_bound", "upper_bound", "interval", "rounding", "window", "group_size")
_NO_WINDOW = {
    "batch_steps": np.zeros(0, dtype=np.int64),
    "batch_rows": np.zeros(0, dtype=np.int64),
    "batch_prompts": np.zeros((0, len(BANDS)), dtype=np.int64),
    "band": np.zeros(0, dtype=np.int8),
    "length": np.zeros(0, dtype=np.int64),
}
_PROGRESS = ("last_update", "last_step", "targets", "decided", *_NO_WINDOW)
_REMEDY = (
    "to go on, set the saved values again, or delete the file laser_state of that checkpoint to start the target "
    "lengths afresh"
)


def fixed_targets(target_lengths: Mapping[str, int], longest: int | None) -> Ints:
    """Check a user's own target lengths.

    Args:
        target_lengths: Tokens, 1 or more, for each of easy, medium and hard.
        longest: The longest response there can be, tokens; None allows any.

    Returns:
        Tokens, [3], indexed by `EASY`, `MEDIUM` and `HARD`.

    Raises:
        ValueError: A band is unknown or missing, or a value breaks its rule.
    """
    for band in target_lengths:
        if band not in BANDS:
            raise ValueError(unknown("target_lengths key", band, BANDS))
    for band in BANDS:
        if band not in target_lengths:
            raise ValueError(f"target_lengths lacks {band}; give tokens for each of {', '.join(BANDS)}")
        positive_int(f"target_lengths.{band}", target_lengths[band], "number of tokens", 4096)
        check_reachable(f"target_lengths.{band}", target_lengths[band], longest)
    return np.array([target_lengths[band] for band in BANDS], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class _Batch:
    """What the window keeps of one observed batch: prompts per band [3], and band and length per response."""

    step: int
    prompts: Ints
    band: NDArray[np.int8]
    length: Ints


class TargetLengths:
    """Target lengths that follow the training's own recent groups, or passes over a monitor set.

    The window holds the fewest newest batches that together have `window` groups; batches stay whole, so that the
    order of rows inside a batch never matters. Targets are chosen at the first batch and then every `update_every`
    steps; a band that had no prompts so far gets its first target as soon as it has one. A band without prompts keeps
    its last target; before it ever had one, that is the upper bound. A pass over a monitor set, which is observed
    alone, is the whole window and chooses all targets.

    Source: arXiv 2505.15612, section 5.2 (there from a monitor set that is sampled anew every 20 steps).

    Departs from the official code: targets are saved and restored, C_d follows the real number of rollouts, and a band
    without prompts does not fall back to the longest response of the batch.
    """

    def __init__(
        self,
        lower_bound: int,
        upper_bound: int,
        interval: int,
        rounding: Rounding = "ceil",
        window: int = 500,
        max_age: int | None = None,
        update_every: int = 20,
        group_size: int | None = None,
    ) -> None:
        """Set up with every target at the upper bound.

        Args:
            lower_bound: Shortest target, tokens, 1 or more.
            upper_bound: Longest target, tokens, `lower_bound` or more.
            interval: Step between candidates, tokens, 1 or more.
            rounding: "ceil" (paper) or "floor" (released code) for C_d.
            window: Groups to look back on, 1 or more.
            max_age: Steps to look back on, 1 or more, the present one among them; None for as many as the window holds.
            update_every: Steps between two choices, 1 or more.
            group_size: Rollouts per prompt, K; None takes the largest group of the first batch.

        Raises:
            ValueError: A value breaks its rule.
        """
        self.grid = target_grid(lower_bound, upper_bound, interval)
        least_solved(1 if group_size is None else group_size, rounding)
        self._interval = int(interval)
        self._rounding: Rounding = rounding
        self._window = positive_int("window", window, "number of groups", 500)
        self._max_age = None if max_age is None else positive_int("max_age", max_age, "number of steps", 20)
        self._update_every = positive_int("update_every", update_every, "number of steps", 20)
        self._group_size = group_size
        self._targets = np.full(len(BANDS), self.grid[-1], dtype=np.int64)
        self._decided = np.zeros(len(BANDS), dtype=np.bool_)
        self._batches: list[_Batch] = []
        self._last_update = -1
        self._last_step = -1

    @property
    def targets(self) -> dict[str, int]:
        """Target length in tokens of each band."""
        return dict(zip(BANDS, self._targets.tolist(), strict=True))

    @property
    def target_array(self) -> Ints:
        """Target length in tokens, [3], indexed by `EASY`, `MEDIUM` and `HARD`."""
        return self._targets.copy()

    @property
    def num_prompts(self) -> dict[str, int]:
        """Prompts of each band in the window."""
        counts = np.sum([batch.prompts for batch in self._batches], axis=0, initial=0, dtype=np.int64)
        return dict(zip(BANDS, np.broadcast_to(counts, len(BANDS)).tolist(), strict=True))

    def observe(self, rollouts: Rollouts, alone: bool = False) -> None:
        """Add a batch to the window, and choose new targets if it is time.

        Args:
            rollouts: Whole or partial groups; the band is of the group as it is, C_d of `group_size`.
            alone: Empty the window before, so that all targets are chosen now, from this batch; one without rows
                changes nothing.

        Raises:
            ValueError: The batch's step is before the last one observed.
        """
        if rollouts.step < self._last_step:
            raise ValueError(
                f"step={rollouts.step} is before the last observed step {self._last_step}; give batches in the order "
                "of training, or load the state that belongs to the earlier step"
            )
        if not rollouts.size:
            return
        self._last_step = rollouts.step
        if alone:
            self._batches, self._last_update = [], -1
        if self._group_size is None:
            self._group_size = int(rollouts.group_size.max())
        band = band_of(rollouts.group_solved, rollouts.group_size)
        prompts = np.bincount(band, minlength=len(BANDS)).astype(np.int64)
        self._batches.append(_Batch(rollouts.step, prompts, band[rollouts.group], rollouts.length))
        if self._max_age is not None:
            self._batches = [batch for batch in self._batches if rollouts.step - batch.step < self._max_age]
        spare = sum(int(batch.prompts.sum()) for batch in self._batches) - self._window
        while (oldest := int(self._batches[0].prompts.sum())) <= spare:
            spare -= oldest
            del self._batches[0]
        if self._last_update < 0 or rollouts.step - self._last_update >= self._update_every:
            self._choose(self._group_size, np.ones(len(BANDS), dtype=np.bool_))
            self._last_update = rollouts.step
        elif (first := ~self._decided & (prompts > 0)).any():
            self._choose(self._group_size, first)

    def _choose(self, group_size: int, bands: Bools) -> None:
        band = np.concatenate([batch.band for batch in self._batches])
        length = np.concatenate([batch.length for batch in self._batches])
        for index, needed in enumerate(least_solved(group_size, self._rounding)):
            target = choose_target(length[band == index], needed, self.grid) if bands[index] else None
            if target is not None:
                self._targets[index], self._decided[index] = target, True

    def metrics(self) -> dict[str, float]:
        """Name the target length and the window's number of prompts of each band, e.g. `laser/target_length/easy`."""
        return {
            **{f"laser/target_length/{band}": float(target) for band, target in self.targets.items()},
            **{f"laser/target_prompts/{band}": float(count) for band, count in self.num_prompts.items()},
        }

    def _config(self) -> dict[str, int | str]:
        return {
            "lower_bound": int(self.grid[0]),
            "upper_bound": int(self.grid[-1]),
            "interval": self._interval,
            "rounding": self._rounding,
            "window": self._window,
            "group_size": self._group_size or 0,
        }

    def state_dict(self) -> dict[str, Any]:
        """Return all that a later `load_state_dict` needs: a flat dict of ints, texts and arrays.

        `update_every` and `max_age` are not part of it: they may change from run to run.

        Returns:
            The state; `group_size` 0 means not known yet.
        """
        return {
            "version": STATE_VERSION,
            **self._config(),
            "last_update": self._last_update,
            "last_step": self._last_step,
            "targets": self._targets.copy(),
            "decided": self._decided.copy(),
            "batch_steps": np.array([batch.step for batch in self._batches], dtype=np.int64),
            "batch_rows": np.array([len(batch.length) for batch in self._batches], dtype=np.int64),
            "batch_prompts": np.array([b.prompts for b in self._batches], dtype=np.int64).reshape(-1, len(BANDS)),
            "band": np.concatenate([_NO_WINDOW["band"], *(batch.band for batch in self._batches)]),
            "length": np.concatenate([_NO_WINDOW["length"], *(batch.length for batch in self._batches)]),
        }

    def load_state_dict(self, state: Mapping[str, Any], with_window: bool = True) -> None:
        """Go on from a saved state; nothing changes if it does not fit.

        Args:
            state: What `state_dict` returned, in a run with the same configuration.
            with_window: False drops the saved window, whatever its size: the targets stay until the next batch, from
                which all are chosen.

        Raises:
            ValueError: The state's version, keys, configuration or arrays do not fit; the message says which.
        """
        if not with_window:
            state = {**state, **_NO_WINDOW, "window": self._window, "last_update": -1}
        _check_state(state, self._config())
        _check_arrays(state, self.grid)
        ends = np.cumsum(state["batch_rows"], dtype=np.int64).tolist()
        steps, prompts = np.asarray(state["batch_steps"]).tolist(), np.array(state["batch_prompts"], dtype=np.int64)
        band, length = np.array(state["band"], dtype=np.int8), np.array(state["length"], dtype=np.int64)
        self._batches = [
            _Batch(step, counts, band[start:end], length[start:end])
            for step, counts, (start, end) in zip(steps, prompts, pairwise([0, *ends]), strict=True)
        ]
        self._targets = np.array(state["targets"], dtype=np.int64)
        self._decided = np.array(state["decided"], dtype=np.bool_)
        self._last_update, self._last_step = int(state["last_update"]), int(state["last_step"])
        self._group_size = int(state["group_size"]) or self._group_size


def _check_state(state: Mapping[str, Any], config: Mapping[str, int | str]) -> None:
    """Compare a saved state with the run that wants to go on from it."""
    version = state.get("version")
    if version != STATE_VERSION:
        raise ValueError(f"saved target lengths have version {version}, this release reads {STATE_VERSION}; {_REMEDY}")
    missing = [key for key in (*_CONFIG, *_PROGRESS) if key not in state]
    if missing:
        raise ValueError(f"saved target lengths lack {', '.join(missing)}; {_REMEDY}")
    differing = []
    for key, here in config.items():
        saved = state[key]
        if saved != here and not (key == "group_size" and 0 in (saved, here)):
            differing.append(f"{key} is {saved} in the saved state and {here} in this run")
    if differing:
        raise ValueError(f"saved target lengths do not fit this run: {'; '.join(differing)}. {_REMEDY.capitalize()}")


def _check_arrays(state: Mapping[str, Any], grid: Ints) -> None:
    """Refuse arrays that `state_dict` never returns."""
    arrays = {key: np.asarray(state[key]) for key in _PROGRESS}
    num_batches, num_rows = arrays["batch_rows"].size, int(arrays["batch_rows"].sum())
    shapes: dict[str, tuple[int, ...]] = {"last_update": (), "last_step": (), "targets": (len(BANDS),)}
    shapes |= {"decided": (len(BANDS),), "batch_rows": (num_batches,), "batch_prompts": (num_batches, len(BANDS))}
    shapes |= {"batch_steps": (num_batches,), "band": (num_rows,), "length": (num_rows,)}
    rules = {key: array.dtype.kind in "iub" and array.shape == shapes[key] for key, array in arrays.items()}
    rules["targets"] = rules["targets"] and bool(np.isin(arrays["targets"], grid).all())
    rules["band"] = rules["band"] and bool(np.isin(arrays["band"], range(len(BANDS))).all())
    for key in ("batch_rows", "batch_prompts", "length"):
        rules[key] = rules[key] and bool((arrays[key] >= 0).all())
    if damaged := [key for key, holds in rules.items() if not holds]:
        raise ValueError(f"saved target lengths are damaged, in {', '.join(damaged)}; {_REMEDY}")

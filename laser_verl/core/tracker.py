"""How hard each prompt is for the model as it is now: one row of flat arrays per prompt.

Shape letters: N prompts asked for, P prompts known, U distinct prompts of a batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laser_verl.core.bands import BANDS, NO_BAND, band_of_rate
from laser_verl.core.checks import Bools, Floats, Ints, finite_number
from laser_verl.core.prompt_index import Keys, PromptIndex, key_numbers
from laser_verl.core.rollouts import Rollouts

STATE_VERSION = 1
DECAY = 0.5

_AFRESH = "delete the file laser_state of that checkpoint to start the tracker afresh"
_LONGEST_STREAK = np.iinfo(np.uint16).max

# Name, type and value of a prompt that has not been seen; with the index's 12 bytes, 48 bytes a prompt.
_FIELDS: dict[str, tuple[Any, float]] = {
    "drawn": (np.uint32, 0),
    "responses": (np.uint32, 0),
    "solved": (np.uint32, 0),
    "weight": (np.float32, 0),
    "weighted_solved": (np.float32, 0),
    "last_step": (np.int32, -1),
    "correct_length": (np.float32, 0),
    "shortest": (np.float32, np.inf),
    "solved_streak": (np.uint16, 0),
    "failed_streak": (np.uint16, 0),
}


@dataclass(frozen=True)
class Kept:
    """What became of a tracker's prompts when the data set changed.

    Attributes:
        kept: Prompts of the data that the tracker knew.
        new: Prompts of the data that it did not know.
        dropped: Prompts that it knew and that are in the data no more.
    """

    kept: int
    new: int
    dropped: int


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a batch says about its prompts, each of them once.

    Attributes:
        places: Of the prompts in the tracker, rising, [U].
        drawn: Groups of the prompt in the batch, [U].
        responses: Responses, [U].
        solved: Solved responses, [U].
        step: Training step of the batch.
    """

    places: Ints
    drawn: Ints
    responses: Ints
    solved: Ints
    step: int

    def select(self, mask: Bools) -> Outcome:
        """Keep some of the prompts, [U]."""
        return Outcome(self.places[mask], self.drawn[mask], self.responses[mask], self.solved[mask], self.step)


class DifficultyTracker:
    """Pass rate, lengths and streaks of every prompt, 48 bytes each.

    The pass rate is an exponential average: at each batch that holds the prompt, what was known of it counts `decay`
    times as much as before. With decay 0.5, a prompt solved in 8 of 8 and then in 0 of 8 has (0.5 * 8 + 0) / (0.5 * 8 +
    8) = 1/3. With 1 it is the plain share of all responses so far. `weighted_solved` and the rest of `weight` are what
    a Beta posterior adds to its prior, with forgetting if `decay` is less than 1 (MoPPS, arXiv 2507.04632).

    Several groups of one prompt in a batch are taken together, and a group of fewer responses counts for less. Whatever
    is not in a batch stays as it was.

    Attributes:
        decay: What earlier batches keep of their weight, 0 to 1.
    """

    def __init__(self, decay: float = DECAY) -> None:
        """Start with no prompts.

        Args:
            decay: What earlier batches keep of their weight, 0 to 1.

        Raises:
            ValueError: `decay` is not within 0 and 1.
        """
        self.decay = finite_number("decay", decay, DECAY)
        if not 0 <= self.decay <= 1:
            raise ValueError(f"decay={decay} must be from 0 to 1; give e.g. {DECAY}")
        self._index = PromptIndex()
        self._arrays = {name: np.zeros(0, dtype=dtype) for name, (dtype, _) in _FIELDS.items()}
        self._band_counts: Ints = np.zeros(len(BANDS), dtype=np.int64)
        self._rates = 0.0
        self._draws, self._squares = 0, 0

    def __getattr__(self, name: str) -> NDArray[Any]:
        """Return a field of all prompts, [P], as a view that cannot be written to."""
        if name.startswith("_") or name not in _FIELDS:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        view: NDArray[Any] = self._arrays[name][: self.size]
        view.flags.writeable = False
        return view

    @property
    def size(self) -> int:
        """Number of prompts, P."""
        return len(self._index)

    @property
    def num_seen(self) -> int:
        """Number of prompts that were in a batch."""
        return int(self._band_counts.sum())

    @property
    def keys(self) -> Keys:
        """The key of each prompt, [P]; an array of its own."""
        return self._index.keys

    def add(self, keys: Keys) -> Ints:
        """Make prompts known, as ones not seen yet, and return the places of all, [N]."""
        places = self._index.add(keys)
        self._make_room()
        return places

    def places(self, keys: Keys) -> Ints:
        """Look up places, [N]; -1 for a prompt that is not known."""
        return self._index.find(keys)

    def is_seen(self, places: Ints | slice = slice(None)) -> Bools:
        """Tell which prompts were in a batch, [N]."""
        return np.asarray(self.weight[places] > 0)

    def pass_rate(self, places: Ints | slice = slice(None)) -> Floats:
        """Return the averaged share of solved responses, [N], NaN for a prompt not seen."""
        weight = self.weight[places].astype(np.float64)
        with np.errstate(invalid="ignore"):
            return np.asarray(self.weighted_solved[places] / np.where(weight > 0, weight, np.nan))

    def bands(self, places: Ints | slice = slice(None)) -> NDArray[np.int8]:
        """Sort prompts by pass rate: `EASY`, `MEDIUM`, `HARD`, or `NO_BAND` for one not seen, [N]."""
        rate = self.pass_rate(places)
        return np.where(np.isnan(rate), np.int8(NO_BAND), band_of_rate(np.nan_to_num(rate))).astype(np.int8)

    def observe(self, rollouts: Rollouts) -> Outcome:
        """Learn from a batch.

        Args:
            rollouts: Whole or partial groups, their prompts named by `prompt_key`; an unknown prompt becomes known.

        Returns:
            What the batch says about each of its prompts.
        """
        of_group = self.add(key_numbers(rollouts.prompt_key))
        places, prompt = np.unique(of_group, return_inverse=True)
        count = len(places)
        of_row = prompt[rollouts.group]
        outcome = Outcome(
            places=places,
            drawn=np.bincount(prompt, minlength=count).astype(np.int64),
            responses=np.bincount(of_row, minlength=count).astype(np.int64),
            solved=np.bincount(of_row[rollouts.solved], minlength=count).astype(np.int64),
            step=rollouts.step,
        )
        self._count(places, -1)
        self._learn_lengths(outcome, of_row[rollouts.solved], rollouts.length[rollouts.solved])
        self._learn_counts(outcome)
        self._count(places, 1)
        return outcome

    def _learn_counts(self, outcome: Outcome) -> None:
        places, arrays = outcome.places, self._arrays
        arrays["drawn"][places] += outcome.drawn.astype(np.uint32)
        arrays["responses"][places] += outcome.responses.astype(np.uint32)
        arrays["solved"][places] += outcome.solved.astype(np.uint32)
        for name, counts in (("weight", outcome.responses), ("weighted_solved", outcome.solved)):
            arrays[name][places] = self.decay * arrays[name][places] + counts
        arrays["last_step"][places] = outcome.step
        is_all, is_none = outcome.solved == outcome.responses, outcome.solved == 0
        for name, goes_on in (("solved_streak", is_all), ("failed_streak", is_none)):
            longer = np.minimum(arrays[name][places].astype(np.int64) + outcome.drawn, _LONGEST_STREAK)
            arrays[name][places] = np.where(goes_on, longer, 0)

    def _learn_lengths(self, outcome: Outcome, prompt: Ints, length: Ints) -> None:
        """Fold in the lengths of solved responses, before their number is added up."""
        places, arrays = outcome.places, self._arrays
        total = np.bincount(prompt, length, minlength=len(places))
        before = arrays["solved"][places].astype(np.float64)
        mean = (before * arrays["correct_length"][places] + total) / np.maximum(before + outcome.solved, 1)
        arrays["correct_length"][places] = mean
        least = arrays["shortest"][places]
        np.minimum.at(least, prompt, length.astype(np.float32))
        arrays["shortest"][places] = least

    def _count(self, places: Ints, sign: int) -> None:
        """Keep the numbers that `metrics` are made of, as if these prompts came or went."""
        seen = places[self.is_seen(places)]
        drawn = self.drawn[seen].astype(np.int64)
        self._draws += sign * int(drawn.sum())
        self._squares += sign * int((drawn**2).sum())
        self._band_counts += sign * np.bincount(self.bands(seen), minlength=len(BANDS))
        self._rates += sign * float(self.pass_rate(seen).sum())

    def metrics(self) -> dict[str, float]:
        """Name the prompts seen, and of these the mean pass rate and the share of each band.

        `laser/tracker/effective_prompts` is (sum of draws)^2 / (sum of squared draws): of prompts drawn 3, 1 and 0
        times 16 / 10 = 1.6, and their number where all were drawn alike.
        """
        seen = self.num_seen
        shares = zip(BANDS, (self._band_counts / max(seen, 1)).tolist(), strict=True)
        of_seen = {
            "laser/tracker/pass_rate": min(max(self._rates / max(seen, 1), 0.0), 1.0),
            "laser/tracker/effective_prompts": self._draws**2 / max(self._squares, 1),
            **{f"laser/tracker/band_frac/{band}": share for band, share in shares},
        }
        return {"laser/tracker/seen_prompts": float(seen), **(of_seen if seen else {})}

    def keep_only(self, keys: Keys) -> Kept:
        """Follow a changed data set: prompt i is the one of the i-th distinct key from now on.

        Args:
            keys: Of the data set, [N].

        Returns:
            How many prompts were kept, are new, and were dropped.
        """
        if np.array_equal(keys, self.keys):
            return Kept(kept=self.size, new=0, dropped=0)
        index = PromptIndex()
        index.add(keys)
        old = self._index.find(index.keys)
        is_kept = old >= 0
        for name, (dtype, empty) in _FIELDS.items():
            array = np.full(len(index), empty, dtype=dtype)
            array[is_kept] = self._arrays[name][old[is_kept]]
            self._arrays[name] = array
        num_kept, num_before = int(is_kept.sum()), self.size
        self._index = index
        self._recount()
        return Kept(kept=num_kept, new=len(index) - num_kept, dropped=num_before - num_kept)

    def state_dict(self) -> dict[str, Any]:
        """Return all that a resumed run needs: a flat dict of ints, floats and arrays [P]."""
        fields = {name: getattr(self, name) for name in _FIELDS}
        return {"version": STATE_VERSION, "decay": self.decay, "keys": self.keys, **fields}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state; nothing changes if it does not fit.

        The decay may have changed: it holds from the next batch on.

        Args:
            state: What `state_dict` returned.

        Raises:
            ValueError: It is of another version, or damaged.
        """
        if (version := state.get("version")) != STATE_VERSION:
            raise ValueError(
                f"the saved tracker has version {version!r}, this release reads {STATE_VERSION}; {_AFRESH}"
            )
        index = PromptIndex()
        keys = np.asarray(state.get("keys"))
        if keys.dtype == np.uint64 and keys.ndim == 1:
            index.add(keys)
        arrays = {name: np.asarray(state.get(name)) for name in _FIELDS}
        damaged = ["keys"] if len(index) != keys.size else _damaged(arrays, len(index))
        if damaged:
            raise ValueError(f"the saved tracker is damaged, in {', '.join(damaged)}; {_AFRESH}")
        self._index, self._arrays = index, {name: array.copy() for name, array in arrays.items()}
        self._recount()

    def _make_room(self) -> None:
        """Grow the arrays with the index, by an eighth or more at a time; one array after the other is copied."""
        here, size = len(self._arrays["drawn"]), self.size
        if size <= here:
            return
        room = max(size, here + here // 8)
        for name, (dtype, empty) in _FIELDS.items():
            array = np.full(room, empty, dtype=dtype)
            array[:here] = self._arrays[name]
            self._arrays[name] = array

    def _recount(self) -> None:
        self._band_counts, self._rates = np.zeros(len(BANDS), dtype=np.int64), 0.0
        self._draws, self._squares = 0, 0
        for first in range(0, self.size, 2**20):
            self._count(np.arange(first, min(first + 2**20, self.size)), 1)


def _damaged(arrays: Mapping[str, NDArray[Any]], size: int) -> list[str]:
    """Names of saved arrays that no tracker writes."""
    wrong = [name for name, array in arrays.items() if array.dtype != _FIELDS[name][0] or array.shape != (size,)]
    if wrong:
        return wrong
    weight, won = arrays["weight"], arrays["weighted_solved"]
    rules = {
        "weight": np.isfinite(weight) & (weight >= 0),
        "weighted_solved": (won >= 0) & (won <= weight),
        "solved": arrays["solved"] <= arrays["responses"],
        "correct_length": np.isfinite(arrays["correct_length"]),
        "shortest": np.isfinite(arrays["shortest"]) == (arrays["solved"] > 0),
    }
    return [name for name, holds in rules.items() if not holds.all()]

"""What a method knows of a prompt from earlier steps: a column that the tracker fills, or a number of the method's own.

Shape letters: B responses and G groups of a batch, P prompts known so far.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from laser_verl.core.checks import Floats, Ints, frozen
from laser_verl.core.prompt_index import Keys, PromptIndex, key_numbers
from laser_verl.core.rollouts import Rollouts
from laser_verl.core.tracker import DifficultyTracker

SHORTEST_CORRECT = "shortest_correct"
HISTORY_COLUMNS = (SHORTEST_CORRECT,)
"""Columns of `Rollouts` that come from the tracker, not from the data."""

_KEYS, _VALUES = "history_keys", "history_values"


def with_history(rollouts: Rollouts, tracker: DifficultyTracker, names: Collection[str]) -> Rollouts:
    """Add to a batch what is known of its prompts from the batches before it.

    `shortest_correct` is the length of the shortest solved response to the prompt so far, tokens, NaN where there is
    none. Of a prompt solved within 300 and 200 tokens before, each response gets 200.

    Args:
        rollouts: A batch that the tracker has not observed yet, its prompts named by `prompt_key`.
        tracker: Has observed all batches before it.
        names: Columns that the method reads; those of `HISTORY_COLUMNS` among them are added, unless the batch has
            them.

    Returns:
        The batch with these columns, [B].
    """
    if SHORTEST_CORRECT not in names or SHORTEST_CORRECT in rollouts.columns:
        return rollouts
    places = tracker.places(key_numbers(rollouts.prompt_key))
    is_known = places >= 0
    shortest = np.full(rollouts.num_groups, np.nan)
    shortest[is_known] = tracker.shortest[places[is_known]]
    shortest[np.isinf(shortest)] = np.nan
    return replace(rollouts, columns={**rollouts.columns, SHORTEST_CORRECT: frozen(shortest[rollouts.group])})


class PromptHistory:
    """A number for each prompt, 20 bytes each: 12 of the index, 8 of the number.

    Values that are NaN are skipped, so a group that has nothing to add changes nothing. A key may come several times
    in one call.
    """

    def __init__(self) -> None:
        """Start with no prompts."""
        self._index = PromptIndex()
        self._values: Floats = np.zeros(0)
        self._kept_back: tuple[Keys, Floats] | None = None

    def __len__(self) -> int:
        return len(self._index)

    def lookup(self, keys: Sequence[str]) -> Floats:
        """Look up the number of each prompt.

        After `put(["a"], np.array([3.0]))`, `lookup(["a", "b"])` is `[3.0, nan]`.

        Args:
            keys: Prompt keys, [G].

        Returns:
            The numbers, [G], NaN where none is known.
        """
        places = self._index.find(key_numbers(keys))
        found = np.full(len(keys), np.nan)
        found[places >= 0] = self._values[places[places >= 0]]
        return found

    def put(self, keys: Sequence[str], values: Floats) -> None:
        """Set numbers; the last one wins where a key comes twice.

        Args:
            keys: Prompt keys, [G].
            values: Numbers, [G], NaN to leave a prompt as it is.
        """
        places, values = self._places(key_numbers(keys), values)
        self._values[places] = values

    def fold_least(self, keys: Sequence[str], values: Floats) -> None:
        """Lower each prompt's number to a new one that is less.

        Args:
            keys: Prompt keys, [G].
            values: Numbers, [G], NaN to leave a prompt as it is.
        """
        self._fold_least(key_numbers(keys), values)

    def fold_least_later(self, keys: Sequence[str], values: Floats) -> None:
        """Keep numbers back until the next call or a save, and fold in those of the call before.

        A batch that is observed and then shaped so meets the history from before it.

        Args:
            keys: Prompt keys, [G].
            values: Numbers, [G], NaN to leave a prompt as it is.
        """
        self._fold_kept_back()
        self._kept_back = (key_numbers(keys), values)

    def mean(self) -> float:
        """Average over the prompts known, NaN where there is none."""
        return float(self._values.mean()) if len(self) else float("nan")

    def state_dict(self) -> dict[str, Any]:
        """Return keys and values, [P] each, with what is kept back folded in; the history itself stays as it is."""
        folded = copy.deepcopy(self)
        folded._fold_kept_back()
        return {_KEYS: folded._index.keys, _VALUES: folded._values}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state; nothing changes if it does not fit.

        Args:
            state: What `state_dict` returned, beside other entries.

        Raises:
            ValueError: An array is missing, or is none that `state_dict` returns.
        """
        keys, values, index = np.asarray(state.get(_KEYS)), np.asarray(state.get(_VALUES)), PromptIndex()
        if keys.dtype == np.uint64 and keys.ndim == 1:
            index.add(keys)
        is_sound = keys.dtype == np.uint64 and values.dtype.kind == "f" and values.shape == keys.shape == (len(index),)
        if not is_sound or not np.isfinite(values).all():
            raise ValueError(
                f"the saved history of prompts is damaged: {_KEYS} must hold distinct keys and {_VALUES} a finite "
                "number for each; delete the file laser_state of that checkpoint to start the method afresh"
            )
        self._index, self._values, self._kept_back = index, values.astype(np.float64), None

    def _fold_kept_back(self) -> None:
        if self._kept_back is not None:
            self._fold_least(*self._kept_back)
            self._kept_back = None

    def _fold_least(self, keys: Keys, values: Floats) -> None:
        places, values = self._places(keys, values)
        np.fmin.at(self._values, places, values)

    def _places(self, keys: Keys, values: Floats) -> tuple[Ints, Floats]:
        """Where the values that are numbers go, and these values; a new prompt gets the next place."""
        is_number = ~np.isnan(values)
        places = self._index.add(keys[is_number])
        if num_new := len(self._index) - len(self._values):
            self._values = np.append(self._values, np.full(num_new, np.nan))
        return places, values[is_number]

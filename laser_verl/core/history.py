"""A number for each prompt, kept over the steps of a run, and what methods with such a history share.

Shape letters: G groups of a batch, P prompts known so far.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress, repeat
from typing import Any, ClassVar

import numpy as np

from laser_verl.core.checks import Floats, Ints
from laser_verl.core.framework import MethodBase

_KEYS, _VALUES = "history_keys", "history_values"


class PromptHistory:
    """A number for each prompt key, as a dictionary of places and an array of values.

    Values that are NaN are skipped, so a group that has nothing to add changes nothing. A key may come several times
    in one call.
    """

    def __init__(self) -> None:
        """Start with no prompts."""
        self._place: dict[str, int] = {}
        self._values: Floats = np.zeros(0)
        self._kept_back: tuple[Sequence[str], Floats] | None = None

    def __len__(self) -> int:
        return len(self._place)

    def lookup(self, keys: Sequence[str]) -> Floats:
        """Look up the number of each prompt.

        After `put(["a"], np.array([3.0]))`, `lookup(["a", "b"])` is `[3.0, nan]`.

        Args:
            keys: Prompt keys, [G].

        Returns:
            The numbers, [G], NaN where none is known.
        """
        place = np.fromiter(map(self._place.get, keys, repeat(-1)), dtype=np.int64, count=len(keys))
        found = np.full(len(keys), np.nan)
        found[place >= 0] = self._values[place[place >= 0]]
        return found

    def put(self, keys: Sequence[str], values: Floats) -> None:
        """Set numbers; the last one wins where a key comes twice.

        Args:
            keys: Prompt keys, [G].
            values: Numbers, [G], NaN to leave a prompt as it is.
        """
        place, values = self._places(keys, values)
        self._values[place] = values

    def fold_least(self, keys: Sequence[str], values: Floats) -> None:
        """Lower each prompt's number to a new one that is less.

        Args:
            keys: Prompt keys, [G].
            values: Numbers, [G], NaN to leave a prompt as it is.
        """
        place, values = self._places(keys, values)
        np.fmin.at(self._values, place, values)

    def fold_least_later(self, keys: Sequence[str], values: Floats) -> None:
        """Keep numbers back until the next call or a save, and fold in those of the call before.

        A batch that is observed and then shaped so meets the history from before it.

        Args:
            keys: Prompt keys, [G].
            values: Numbers, [G], NaN to leave a prompt as it is.
        """
        self._fold_kept_back()
        self._kept_back = (keys, values)

    def mean(self) -> float:
        """Average over the prompts known, NaN where there is none."""
        return float(self._values.mean()) if len(self) else float("nan")

    def state_dict(self) -> dict[str, Any]:
        """Return keys and values, [P] each, with what is kept back folded in; the history itself stays as it is."""
        folded = PromptHistory()
        folded._place, folded._values = self._place.copy(), self._values.copy()
        folded._kept_back = self._kept_back
        folded._fold_kept_back()
        return {_KEYS: np.array(list(folded._place), dtype=np.str_), _VALUES: folded._values}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state; nothing changes if it does not fit.

        Args:
            state: What `state_dict` returned, beside other entries.

        Raises:
            ValueError: An array is missing, or is none that `state_dict` returns.
        """
        keys, values = np.asarray(state.get(_KEYS)), np.asarray(state.get(_VALUES))
        place = {key: number for number, key in enumerate(keys.tolist())} if keys.ndim == 1 else {}
        is_sound = keys.dtype.kind == "U" and values.dtype.kind == "f" and values.shape == (len(place),) == keys.shape
        if not is_sound or not np.isfinite(values).all():
            raise ValueError(
                f"the saved history of prompts is damaged: {_KEYS} must hold distinct texts and {_VALUES} a finite "
                "number for each; delete the file laser_state of that checkpoint to start the method afresh"
            )
        self._place, self._values, self._kept_back = place, values.astype(np.float64), None

    def _fold_kept_back(self) -> None:
        if self._kept_back is not None:
            self.fold_least(*self._kept_back)
            self._kept_back = None

    def _places(self, keys: Sequence[str], values: Floats) -> tuple[Ints, Floats]:
        """Where the values that are numbers go, and these values; a new prompt gets the next place."""
        is_number = ~np.isnan(values)
        place = self._place
        places = [place.setdefault(key, len(place)) for key in compress(keys, is_number.tolist())]
        self._values = np.append(self._values, np.full(len(place) - len(self._values), np.nan))
        return np.array(places, dtype=np.int64), values[is_number]


@dataclass(kw_only=True, eq=False)
class WithHistory(MethodBase):
    """A method that keeps a number for each prompt, in its state too."""

    columns: ClassVar[tuple[str, ...]] = ("prompt_key",)

    def __post_init__(self) -> None:
        """Start with no history."""
        super().__post_init__()
        self._history = PromptHistory()

    @property
    def required_columns(self) -> tuple[str, ...]:
        """None: every batch knows its prompts, if only for its own step."""
        return ()

    def metrics(self) -> dict[str, float]:
        """Name the number of prompts with a history, and the mean of their numbers once there is one."""
        name, known = f"laser/{self.name}", len(self._history)
        mean = {f"{name}/history_mean": self._history.mean()} if known else {}
        return {f"{name}/known_prompts": float(known), **mean}

    def state_dict(self) -> dict[str, Any]:
        """Return the history, with the batch observed last."""
        return {**super().state_dict(), **self._history.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved history.

        Args:
            state: What `state_dict` returned.

        Raises:
            ValueError: It is another method's, or damaged.
        """
        super().load_state_dict(state)
        self._history.load_state_dict(state)

"""Where each prompt has its place in flat arrays: 64-bit keys to places, 12 bytes a prompt.

Shape letters: N keys asked for, P prompts known.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from laser_verl.core.checks import Ints

Keys = NDArray[np.uint64]

_HEXADECIMAL = frozenset("0123456789abcdef")
_KEY_DIGITS = 16
# Keys that came one batch at a time wait in a dictionary until there are this many, or this share of all.
_LEAST_WAITING, _WAITING_SHARE = 4096, 32
_MANY = 2**14


def key_numbers(texts: Sequence[str]) -> Keys:
    """Read prompt keys as numbers.

    `key_numbers(["00000000000000ff"])` is `[255]`.

    Args:
        texts: Keys as `core.keys.prompt_key` writes them, 16 hexadecimal digits; any other text is hashed, [N].

    Returns:
        64-bit numbers, [N]; equal texts give equal numbers.
    """
    return np.fromiter(map(_number, texts), dtype=np.uint64, count=len(texts))


def key_texts(keys: Keys) -> list[str]:
    """Write keys as `core.keys.prompt_key` does, 16 hexadecimal digits each, [N]."""
    return [f"{key:0{_KEY_DIGITS}x}" for key in keys.tolist()]


def _number(text: str) -> int:
    if len(text) == _KEY_DIGITS and _HEXADECIMAL.issuperset(text):
        return int(text, 16)
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


class PromptIndex:
    """Places 0 to P-1 of prompts, given in the order in which their keys were added.

    Known keys lie sorted, so that N of them are found in O(N log P); new ones wait in a dictionary, and are sorted in
    when there are many, so that adding stays cheap however often it happens.
    """

    def __init__(self) -> None:
        """Start with no prompts."""
        self._sorted: Keys = np.zeros(0, dtype=np.uint64)
        self._place: NDArray[np.int32] = np.zeros(0, dtype=np.int32)
        self._waiting: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._sorted) + len(self._waiting)

    @property
    def keys(self) -> Keys:
        """The key of each place, [P]; an array of its own."""
        keys = np.empty(len(self), dtype=np.uint64)
        keys[self._place] = self._sorted
        keys[len(self._sorted) :] = list(self._waiting)
        return keys

    def find(self, keys: Keys) -> Ints:
        """Look up places.

        After `add([7, 9])`, `find([9, 8])` is `[1, -1]`.

        Args:
            keys: Prompt keys, [N].

        Returns:
            Places, [N], -1 for a key that is not known.
        """
        places = np.full(len(keys), -1, dtype=np.int64)
        if len(self._sorted):
            near = np.minimum(self._search(keys), len(self._sorted) - 1)
            is_known = self._sorted[near] == keys
            places[is_known] = self._place[near[is_known]]
        if self._waiting:
            for row in np.flatnonzero(places < 0).tolist():
                places[row] = self._waiting.get(int(keys[row]), -1)
        return places

    def _search(self, keys: Keys) -> Ints:
        """Where keys would be sorted in, [N]; many are looked up in order, which the processor's cache rewards."""
        if len(keys) < _MANY:
            return np.searchsorted(self._sorted, keys)
        order = np.argsort(keys)
        found = np.empty(len(keys), dtype=np.int64)
        found[order] = np.searchsorted(self._sorted, keys[order])
        return found

    def add(self, keys: Keys) -> Ints:
        """Give a place to each key that has none.

        Args:
            keys: Prompt keys, [N]; one may come several times.

        Returns:
            The places of all of them, [N].
        """
        places = self.find(keys)
        is_new = places < 0
        if not is_new.any():
            return places
        new, rank = _distinct(keys[is_new])
        first = len(self)
        places[is_new] = first + rank
        if len(self._waiting) + len(new) > max(_LEAST_WAITING, first // _WAITING_SHARE):
            waiting = np.fromiter(self._waiting, dtype=np.uint64, count=len(self._waiting))
            self._waiting = {}
            self._merge(np.concatenate([waiting, new]))
        else:
            self._waiting.update(zip(new.tolist(), range(first, first + len(new)), strict=True))
        return places

    def _merge(self, keys: Keys) -> None:
        """Sort in keys that follow in places upon those that are sorted already."""
        order = np.argsort(keys)
        place = (len(self._sorted) + order).astype(np.int32)
        if not len(self._sorted):
            self._sorted, self._place = keys[order], place
            return
        at = np.searchsorted(self._sorted, keys[order])
        self._sorted, self._place = np.insert(self._sorted, at, keys[order]), np.insert(self._place, at, place)


def _distinct(keys: Keys) -> tuple[Keys, Ints]:
    """The distinct keys in order of first appearance, and the number of each key among them, [N]."""
    ordered = np.sort(keys)
    if not (ordered[1:] == ordered[:-1]).any():
        return keys, np.arange(len(keys))
    distinct, first, run = np.unique(keys, return_index=True, return_inverse=True)
    rank = np.empty(len(distinct), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(distinct))
    return distinct[np.argsort(first)], rank[run]

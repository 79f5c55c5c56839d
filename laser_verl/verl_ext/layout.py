"""Which rows of verl's batch are responses, and where a response's reward goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tensordict import TensorDict


@dataclass(frozen=True)
class Layout:
    """Which rows of verl's batch are responses.

    verl pads a batch with copies (``is_padding``) for divisibility, and a multi-turn trajectory is several rows of
    which the last carries the verdict.
    """

    final: np.ndarray
    """int64 [R]: the row that carries the verdict of each of R responses."""

    rows: np.ndarray
    """int64 [M]: all rows that are not padding."""

    response: np.ndarray
    """int64 [M]: the response in 0..R-1 that each of them belongs to."""

    @classmethod
    def of(cls, keys: Sequence[str], tags: Sequence[Mapping[str, Any]]) -> Layout:
        """Read keys of the form ``{uid}_{session}_{index}``."""
        sessions: dict[str, tuple[int, int, int]] = {}
        rows, owner = [], []
        for row, (key, tag) in enumerate(zip(keys, tags, strict=True)):
            if tag.get("is_padding", False):
                continue
            session, _, index = key.rpartition("_")
            number, best, _ = sessions.get(session, (len(sessions), -1, row))
            if int(index) > best:
                sessions[session] = (number, int(index), row)
            rows.append(row)
            owner.append(number)
        final = np.array([row for _, _, row in sessions.values()], dtype=np.int64)
        return cls(final=final, rows=np.array(rows, dtype=np.int64), response=np.array(owner, dtype=np.int64))


def optional_field(data: TensorDict, name: str) -> list[Any]:
    """A field that not every data set has: its value per row, or None per row."""
    return list(data[name]) if name in data.keys() else [None] * len(data)  # noqa: SIM118 (a TensorDict is no dict)


def place_rewards(rm_scores: torch.Tensor, layout: Layout, reward: np.ndarray) -> torch.Tensor:
    """Token-level scores with each reward on the last token of its rows.

    Args:
        rm_scores: verl's scores, nested [rows, tokens of each row].
        layout: which row belongs to which of R responses.
        reward: float64 [R].

    Returns:
        Scores of the same shape; padding rows keep theirs. A row of 3 tokens with reward 1.5 becomes [0, 0, 1.5].
    """
    values, offsets = rm_scores.values().clone(), rm_scores.offsets()
    starts, ends = offsets[:-1].tolist(), offsets[1:].tolist()
    for row, response in zip(layout.rows.tolist(), layout.response.tolist(), strict=True):
        values[starts[row] : ends[row]] = 0.0
        if ends[row] > starts[row]:
            values[ends[row] - 1] = float(reward[response])
    return torch.nested.nested_tensor_from_jagged(values, offsets)

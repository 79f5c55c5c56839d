"""Which rows of verl's batch are responses, and where a response's reward goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tensordict import TensorDict

MAX_TOKENS = "laser_max_tokens"
"""Field of a prompt: the longest response that this step's rollout allows, in tokens."""


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

    tokens: np.ndarray
    """int64 [rows]: tokens of each row's response, padding rows included."""

    uids: list[str]
    """[R]: verl's id of each response's prompt."""

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
        return cls(
            final=np.array([row for _, _, row in sessions.values()], dtype=np.int64),
            rows=np.array(rows, dtype=np.int64),
            response=np.array(owner, dtype=np.int64),
            tokens=np.array([tag["response_len"] for tag in tags], dtype=np.int64),
            uids=[session.rpartition("_")[0] for session in sessions],
        )


def optional_field(data: TensorDict, name: str) -> list[Any]:
    """A field that not every data set has: its value per row, or None per row."""
    return list(data[name]) if name in data.keys() else [None] * len(data)  # noqa: SIM118 (a TensorDict is no dict)


def place_rewards(layout: Layout, reward: np.ndarray) -> torch.Tensor:
    """Token-level scores with each reward on the last token of its rows.

    Args:
        layout: which row belongs to which of R responses, and how long it is.
        reward: float64 [R].

    Returns:
        Scores, nested [rows, tokens of each row], zero on padding rows. A row of 3 tokens with reward 1.5 becomes
        [0, 0, 1.5].
    """
    offsets = np.concatenate([[0], layout.tokens.cumsum()])
    values = torch.zeros(int(offsets[-1]))
    written = layout.tokens[layout.rows] > 0
    last = offsets[layout.rows + 1][written] - 1
    values[torch.from_numpy(last)] = torch.from_numpy(reward[layout.response[written]]).float()
    return torch.nested.nested_tensor_from_jagged(values, torch.from_numpy(offsets))

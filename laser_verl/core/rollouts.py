"""One batch of responses as arrays, checked once; everything in `core` reads it and nothing changes it.

Shape letters: B responses (rows), G groups (a group is the rollouts of one prompt).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from laser_verl.core.checks import (
    Bools,
    Floats,
    Ints,
    column,
    column_numbers,
    first_appearance,
    first_rows,
    flags,
    frozen,
    group_numbers,
    own_scores,
    positive_int,
    prompt_keys,
    same_size,
    step_number,
    whole_lengths,
)


@dataclass(frozen=True, eq=False)
class Rollouts:
    """A batch of responses with what is known of each; make one with `Rollouts.build`.

    A response may have more lengths than `length`, e.g. of its thought alone: those are `columns`.

    Attributes:
        group: Number of the prompt, [B], 0 to G-1 in order of first appearance.
        length: Response length in tokens, end-of-sequence token included, [B], 0 or more.
        correct: Whether the answer is right, whatever its format, [B].
        well_formed: Whether the format is right, [B].
        repetitive: Whether the response ends in a loop, [B].
        truncated: Whether the response was cut at the length limit, [B].
        task_score: A score from the user's own verifier, any finite scale, [B]; None, or NaN for one response, leaves
            it to the method.
        step: Training step that the batch belongs to.
        max_response_length: Longest response that sampling allowed, in tokens; None if not known.
        columns: Further values per response, each [B, ...], by name.
        prompt_key: What names each group's prompt over steps, [G]; several groups may be of one prompt.
    """

    group: Ints
    length: Ints
    correct: Bools
    well_formed: Bools
    repetitive: Bools
    truncated: Bools
    task_score: Floats | None = None
    step: int = 0
    max_response_length: int | None = None
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    prompt_key: tuple[str, ...] = ()

    @classmethod
    def build(
        cls,
        prompt: Iterable[object],
        response_length: ArrayLike,
        correct: ArrayLike,
        well_formed: ArrayLike | None = None,
        repetitive: ArrayLike | None = None,
        truncated: ArrayLike | None = None,
        task_score: ArrayLike | None = None,
        step: int = 0,
        max_response_length: int | None = None,
        columns: Mapping[str, ArrayLike] | None = None,
        prompt_key: Sequence[str] | None = None,
    ) -> Rollouts:
        """Check the values of a batch and copy them into arrays.

        E.g. `Rollouts.build(["p", "p", "q"], [10, 20, 30], [1, 0, 1]).group` is `[0, 0, 1]`.

        Args:
            prompt: One id per response, [B], equal for the rollouts of one prompt; anything hashable but None and NaN.
            response_length: Tokens, [B], whole numbers of 0 or more.
            correct: True/False or 1/0, [B].
            well_formed: True/False or 1/0, [B]; None means that all are.
            repetitive: True/False or 1/0, [B]; None means that none is.
            truncated: True/False or 1/0, [B]; None means that none is.
            task_score: Finite numbers, [B], NaN for those left to the method; or None.
            step: Training step, 0 or more.
            max_response_length: Tokens, 1 or more, or None.
            columns: Further values per response by name, each [B, ...], taken as they are.
            prompt_key: A text per response, [B], that stays the same over steps; None takes `prompt`.

        Returns:
            The batch; its arrays are read-only copies. No rows at all is a batch too.

        Raises:
            ValueError: A value breaks its rule (the message names field and row), or the fields differ in length.
        """
        longest, length = _longest(max_response_length), whole_lengths(response_length)
        size = len(length)
        group, keys = _groups(prompt, prompt_key, size)
        return cls(
            group=frozen(group),
            length=frozen(length),
            correct=flags("correct", correct, size),
            well_formed=flags("well_formed", well_formed, size, default=True),
            repetitive=flags("repetitive", repetitive, size, default=False),
            truncated=flags("truncated", truncated, size, default=False),
            task_score=None if task_score is None else own_scores(task_score, size),
            step=step_number(step),
            max_response_length=longest,
            columns={name: column(name, values, size) for name, values in (columns or {}).items()},
            prompt_key=keys,
        )

    @property
    def size(self) -> int:
        """Number of responses, B."""
        return len(self.length)

    @cached_property
    def num_groups(self) -> int:
        """Number of prompts, G."""
        return int(self.group.max()) + 1 if self.size else 0

    @cached_property
    def solved(self) -> Bools:
        """Correct and well formed, [B]."""
        return self.correct & self.well_formed

    @cached_property
    def group_size(self) -> Ints:
        """Responses in each group, [G]."""
        return np.bincount(self.group, minlength=self.num_groups).astype(np.int64, copy=False)

    @cached_property
    def group_solved(self) -> Ints:
        """Solved responses in each group, [G]."""
        return np.bincount(self.group[self.solved], minlength=self.num_groups).astype(np.int64, copy=False)

    @cached_property
    def has_eos(self) -> Bools:
        """Whether the response ended by itself, [B]: the column of that name, else those not truncated."""
        given = self.columns.get("has_eos")
        return ~self.truncated if given is None else flags("has_eos", given, self.size)

    @cached_property
    def uses_thinking(self) -> Bools:
        """Whether the response thinks before it answers, [B]: the column of that name, 1 or 0.

        Raises:
            ValueError: The batch has no such column.
        """
        if "uses_thinking" not in self.columns:
            raise ValueError("the batch has no column uses_thinking; give 1 or 0 for each response")
        return flags("uses_thinking", self.columns["uses_thinking"], self.size)

    def numbers(self, name: str, empty: float | None = None) -> Floats:
        """Look up a column of numbers of 0 or more.

        Args:
            name: Column, e.g. "budget".
            empty: What stands in for a missing value, or for a missing column; None makes it an error.

        Returns:
            The numbers, [B].

        Raises:
            ValueError: The column, or a value of it, is missing, or no number of 0 or more.
        """
        if name not in self.columns:
            if empty is None:
                raise ValueError(f"the batch has no column {name}; give a number for each response")
            return np.full(self.size, float(empty))
        return column_numbers(name, self.columns[name], self.size, empty)

    def own_scores_or(self, scores: Floats) -> Floats:
        """Put the user's own score where there is one, and elsewhere what a method pays, [B]."""
        if self.task_score is None:
            return scores
        return np.where(np.isnan(self.task_score), scores, self.task_score)

    def select(self, mask: ArrayLike) -> Rollouts:
        """Keep some responses; the groups that remain are numbered anew.

        Of groups `[0, 1, 1]` the mask `[False, True, True]` leaves `[0, 0]`.

        Args:
            mask: True for the rows to keep, [B].

        Returns:
            A batch of the rows kept, in their order.

        Raises:
            ValueError: `mask` is not one true or false value per row.
        """
        keep = flags("mask", mask, self.size)
        group = first_appearance(self.group[keep])
        return replace(
            self,
            group=frozen(group),
            length=frozen(self.length[keep]),
            correct=frozen(self.correct[keep]),
            well_formed=frozen(self.well_formed[keep]),
            repetitive=frozen(self.repetitive[keep]),
            truncated=frozen(self.truncated[keep]),
            task_score=None if self.task_score is None else frozen(self.task_score[keep]),
            columns={name: frozen(values[keep]) for name, values in self.columns.items()},
            prompt_key=tuple(self.prompt_key[kept] for kept in self.group[keep][first_rows(group)].tolist()),
        )


def _longest(max_response_length: int | None) -> int | None:
    if max_response_length is None:
        return None
    return positive_int("max_response_length", max_response_length, "number of tokens", 8192)


def _groups(prompt: Iterable[object], keys: Sequence[str] | None, size: int) -> tuple[Ints, tuple[str, ...]]:
    """Number the group of each response, [B], and name each group, [G]."""
    ids = prompt if isinstance(prompt, Sequence | np.ndarray) else list(prompt)
    group = group_numbers(ids)
    same_size("prompt", len(group), size)
    return group, prompt_keys(group, ids, keys)

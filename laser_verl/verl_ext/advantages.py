"""Our advantage rules among verl's estimators: ``algorithm.adv_estimator=NAME``, options under ``laser.advantage``.

verl gives an estimator the rewards, a mask and the ids of the prompts, for all rows of a batch. What else a rule reads
our trainers have from shaping the rewards, and say it for the time of verl's advantage step (:func:`given`).
Shape letters: rows of verl's batch (padding included), L tokens, R responses, M rows that are not padding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY, register_adv_est

from laser_verl.core.advantages.base import AdvantageRule, Advantages, rule_names
from laser_verl.core.checks import unknown
from laser_verl.core.framework import Shaped
from laser_verl.core.rollouts import Rollouts
from laser_verl.verl_ext.compat import all_or_nothing, answer_for_gdpo
from laser_verl.verl_ext.layout import Layout

GDPO = "gdpo"
GDPO_COLUMNS = ("task_reward", "length_reward")


@dataclass(frozen=True, eq=False)
class Batch:
    """A batch whose rewards have been shaped, as its advantages need it."""

    rule: AdvantageRule | None
    """What ``algorithm.adv_estimator`` names; None for an estimator of verl's own."""

    rollouts: Rollouts
    """The R responses."""

    shaped: Shaped
    """Their rewards."""

    layout: Layout
    """Which rows are theirs."""

    keys: Sequence[str] = ()
    """verl's key of each row, which tells the order of a response's turns; needed only where there are several."""

    masks: Callable[[], Sequence[torch.Tensor]] | None = None
    """Fetches which tokens of each row the model wrote, before any were rejected; None takes the mask that verl gives
    the estimator. Only a rule that cuts responses asks."""

    metrics: dict[str, float] = field(default_factory=dict)
    """Gets the rule's own numbers once the advantages are made."""


_given: ContextVar[Batch | None] = ContextVar("laser_verl_batch", default=None)


@contextmanager
def given(batch: Batch) -> Iterator[None]:
    """Let our estimators read ``batch`` while verl computes its advantages."""
    token = _given.set(batch)
    try:
        yield
    finally:
        _given.reset(token)


def estimator(name: str) -> Callable[..., tuple[torch.Tensor, torch.Tensor]]:
    """The function that verl calls for one of our rules.

    Args:
        name: the rule's name.

    Returns:
        A function of ``token_level_rewards`` [rows, L], ``response_mask`` [rows, L] and verl's ``config.algorithm``. It
        returns advantages and returns, both [rows, L] and the same: a response's advantage on its written tokens, 0 on
        padding rows. Without a batch of :func:`given` it raises ValueError.
    """

    def estimate(
        token_level_rewards: torch.Tensor, response_mask: torch.Tensor, config: Any = None, **_: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        batch = _given.get()
        if batch is None or batch.rule is None or batch.rule.name != name:
            raise ValueError(
                f"laser_verl: algorithm.adv_estimator={name} reads the verdicts on whole groups, which a stock trainer "
                "does not pass on; name a reward manager of laser_verl, e.g. reward.reward_manager.name=none for plain "
                "correctness, and leave out laser.auto_mode=false"
            )
        reward = _rewards(batch, token_level_rewards)
        made = batch.rule.advantages(batch.rollouts, batch.shaped, reward, _by_std(config))
        batch.metrics.update(made.metrics)
        values = _on_tokens(batch, made, response_mask)
        return values, values

    return estimate


def columns_to_gdpo(
    stock: Callable[..., tuple[torch.Tensor, torch.Tensor]],
    token_level_rewards: torch.Tensor,
    response_mask: torch.Tensor,
    config: Any = None,
    **rest: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Verl's GDPO on the columns ``task_reward`` and ``length_reward`` of our batch; untouched where there is none.

    Args:
        stock: verl's estimator.
        token_level_rewards: [rows, L].
        response_mask: [rows, L].
        config: verl's ``config.algorithm``; ``gdpo_reward_keys`` names the columns, both if it is left out.
        rest: what else verl passes on.

    Returns:
        Advantages and returns, [rows, L].

    Raises:
        ValueError: a column that is none of the two, or another number of weights than of columns.
    """
    batch = _given.get()
    if batch is None:
        return stock(token_level_rewards=token_level_rewards, response_mask=response_mask, config=config, **rest)
    columns = {name: getattr(batch.shaped, name) for name in GDPO_COLUMNS}
    keys, weights = gdpo_options(config)
    final = torch.from_numpy(batch.layout.final)
    mask = response_mask[final].long()
    values, _ = stock(
        token_level_rewards=token_level_rewards[final],
        response_mask=mask,
        index=np.array(batch.layout.uids, dtype=object),
        norm_adv_by_std_in_grpo=_by_std(config),
        config={"gdpo_reward_keys": keys, "gdpo_reward_weights": weights},
        non_tensor_batch=columns,
        batch={"prompts": mask[:, :0], "attention_mask": mask},
    )
    first_written = mask.argmax(dim=1)
    scalars = values[torch.arange(len(final)), first_written].double().cpu().numpy()
    on_tokens = _on_tokens(batch, Advantages(scalars), response_mask)
    return on_tokens, on_tokens


def gdpo_options(config: Any) -> tuple[list[str], list[float] | None]:
    """Read which columns GDPO sees, and the weight of each.

    Args:
        config: verl's ``config.algorithm``, or None.

    Returns:
        The names, both if none is given, and the weights, None for equal ones.

    Raises:
        ValueError: an unknown name, or another number of weights than of names, or either is no list.
    """
    asked = config or {}
    keys, weights = asked.get("gdpo_reward_keys") or list(GDPO_COLUMNS), asked.get("gdpo_reward_weights")
    if not _is_list(keys):
        raise ValueError(
            f"laser_verl: algorithm.gdpo_reward_keys={keys!r} must be a list of names; give e.g. {list(GDPO_COLUMNS)}"
        )
    keys = list(keys)
    for key in keys:
        if key not in GDPO_COLUMNS:
            raise ValueError(f"laser_verl: {unknown('name in algorithm.gdpo_reward_keys', key, GDPO_COLUMNS)}")
    if weights is None:
        return keys, None
    given = list(weights) if _is_list(weights) else weights
    if not _is_list(weights) or len(given) != len(keys) or not all(map(_is_weight, given)):
        raise ValueError(
            f"laser_verl: algorithm.gdpo_reward_weights={given!r} must hold one weight for each of {', '.join(keys)}, "
            f"a finite number; give e.g. {[1.0] * len(keys)}"
        )
    return keys, [float(weight) for weight in given]


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _is_weight(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _by_std(config: Any) -> bool:
    return bool((config or {}).get("norm_adv_by_std_in_grpo", True))


def _rewards(batch: Batch, token_level_rewards: torch.Tensor) -> np.ndarray:
    """What is trained on: all that the final row of each response got, [R]."""
    final = batch.layout.final
    added = token_level_rewards[torch.from_numpy(final)].double().sum(dim=-1).cpu().numpy()
    # A response without tokens has none to carry its reward.
    return np.where(batch.layout.tokens[final] > 0, added, batch.shaped.reward)


def _on_tokens(batch: Batch, made: Advantages, response_mask: torch.Tensor) -> torch.Tensor:
    """Each response's advantage on the written tokens of its rows, [rows, L]."""
    layout = batch.layout
    rows = torch.from_numpy(layout.rows)
    mask = response_mask[rows].float()
    if made.kept_tokens is not None:
        mask = mask * _is_kept(batch, _written(batch, response_mask), made.kept_tokens)
    values = torch.zeros(response_mask.shape, device=mask.device)
    values[rows] = torch.from_numpy(made.values[layout.response]).to(mask)[:, None] * mask
    return values


def _written(batch: Batch, response_mask: torch.Tensor) -> torch.Tensor:
    """Which tokens the model wrote, [M, L]; verl's rollout correction takes those it rejects out of its own mask."""
    rows = torch.from_numpy(batch.layout.rows)
    if batch.masks is None:
        return response_mask[rows].float()
    written = torch.zeros(response_mask.shape, device=response_mask.device)
    for row, mask in enumerate(batch.masks()):
        written[row, : len(mask)] = mask.to(written)
    return written[rows]


def _is_kept(batch: Batch, mask: torch.Tensor, kept_tokens: np.ndarray) -> torch.Tensor:
    """Which tokens are among the first of their response, whose turns are rows of their own, [M, L]."""
    layout = batch.layout
    assert batch.keys or len(layout.rows) == len(layout.final), "rows of several turns have no order without their keys"
    turns = [int(batch.keys[row].rpartition("_")[2]) if batch.keys else 0 for row in layout.rows]
    order = np.lexsort((np.array(turns, dtype=np.int64), layout.response))
    owner, written = layout.response[order], mask.sum(dim=1).cpu().numpy()[order]
    before = np.cumsum(written) - written
    is_first = np.diff(owner, prepend=-1) > 0
    left = np.empty(len(order))
    left[order] = kept_tokens[owner] - (before - before[is_first][owner])
    return mask.cumsum(dim=1) <= torch.from_numpy(left).to(mask)[:, None]


def register() -> list[str]:
    """Register an estimator for each of our rules; verl's own ``gdpo`` gets our columns."""
    with all_or_nothing(ADV_ESTIMATOR_REGISTRY):
        for name in rule_names():
            if name == GDPO:
                answer_for_gdpo(ADV_ESTIMATOR_REGISTRY, columns_to_gdpo)
            else:
                register_adv_est(name)(estimator(name))
    return rule_names()


REGISTERED = register()

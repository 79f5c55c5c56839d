"""What a training step logs: names are API, documented in ``docs/metrics.md``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from laser_verl.core.bands import BANDS, NO_BAND
from laser_verl.core.checks import Bools, Floats
from laser_verl.core.framework import Shaped
from laser_verl.core.rollouts import Rollouts


def step_metrics(rollouts: Rollouts, shaped: Shaped, group_size: int | None = None) -> dict[str, float]:
    """Means and fractions over the responses and groups of one training batch.

    Names that are means avoid the syllables min, max, sum and total: verl aggregates by them over sub-steps.

    Args:
        rollouts: the batch, B responses in G groups.
        shaped: what a method made of it.
        group_size: ``rollout.n``; with it, ``laser/short_group_frac`` counts the groups with fewer responses.

    Returns:
        ``{name: value}``; a name whose set is empty (no correct response, no target) is left out. Two responses of
        lengths 10 (right) and 30 (wrong) give ``laser/response_length/correct`` 10 and ``…/wrong`` 30.
    """
    if rollouts.size == 0:
        return {}
    solved, length = rollouts.solved, rollouts.length
    metrics = {
        "laser/task_reward/mean": shaped.task_reward.mean(),
        "laser/length_reward/mean": shaped.length_reward.mean(),
        "laser/shaped_reward/mean": shaped.reward.mean(),
        "laser/accuracy": solved.mean(),
        "laser/answer_correct_frac": rollouts.correct.mean(),
        "laser/malformed_frac": 1.0 - rollouts.well_formed.mean(),
        "laser/truncated_frac": rollouts.truncated.mean(),
        "laser/repetitive_frac": rollouts.repetitive.mean(),
        "laser/no_signal_group_frac": _equal_reward_groups(rollouts, shaped.reward).mean(),
        "laser/response_length/mean": length.mean(),
    }
    if solved.any():
        metrics["laser/response_length/correct"] = length[solved].mean()
    if not solved.all():
        metrics["laser/response_length/wrong"] = length[~solved].mean()
    if shaped.band is not None:
        metrics |= _band_metrics(rollouts, shaped.band)
    if shaped.target_length is not None:
        has_target = ~np.isnan(shaped.target_length)
        if has_target.any():
            metrics["laser/within_target_frac"] = (length <= shaped.target_length)[has_target].mean()
    if shaped.ramp_frac is not None:
        metrics["laser/ramp_frac"] = shaped.ramp_frac
    if group_size is not None:
        metrics["laser/short_group_frac"] = (rollouts.group_size < group_size).mean()
    return {name: float(value) for name, value in metrics.items()}


def source_metrics(rollouts: Rollouts, shaped: Shaped, group_size: int | None = None) -> dict[str, float]:
    """The step's metrics of each data source, where the batch has a column `data_source`.

    Args:
        rollouts: the batch.
        shaped: what a method made of it.
        group_size: ``rollout.n``.

    Returns:
        ``{name: value}``: ``laser/accuracy`` of the source math is ``laser/math/accuracy``.
    """
    metrics: dict[str, float] = {}
    sources = rollouts.columns.get("data_source", np.zeros(0))
    for source in sorted(set(sources.tolist())):
        mask: Bools = np.equal(sources, source)
        part = Shaped(
            task_reward=shaped.task_reward[mask],
            length_reward=shaped.length_reward[mask],
            band=None if shaped.band is None else shaped.band[mask],
            target_length=None if shaped.target_length is None else shaped.target_length[mask],
        )
        of_source = step_metrics(rollouts.select(mask), part, group_size)
        metrics |= {f"laser/{source}/{name.removeprefix('laser/')}": value for name, value in of_source.items()}
    return metrics


def _band_metrics(rollouts: Rollouts, band: np.ndarray) -> dict[str, np.floating]:
    of_group = band[np.unique(rollouts.group, return_index=True)[1]]
    of_group = of_group[of_group != NO_BAND]
    if not of_group.size:
        return {}
    metrics = {f"laser/band_frac/{name}": (of_group == index).mean() for index, name in enumerate(BANDS)}
    for index, name in enumerate(BANDS):
        inside = band == index
        if inside.any():
            metrics[f"laser/response_length/{name}"] = rollouts.length[inside].mean()
            metrics[f"laser/accuracy/{name}"] = rollouts.solved[inside].mean()
    return metrics


def _equal_reward_groups(rollouts: Rollouts, reward: np.ndarray) -> Bools:
    low = np.full(rollouts.num_groups, np.inf)
    high = np.full(rollouts.num_groups, -np.inf)
    np.minimum.at(low, rollouts.group, reward)
    np.maximum.at(high, rollouts.group, reward)
    is_equal: Bools = np.equal(low, high)
    return is_equal


def scoring_metrics(
    status: ArrayLike, layer: ArrayLike, milliseconds: ArrayLike, names: Mapping[str, Sequence[str]]
) -> dict[str, float]:
    """How the verdicts of a batch came about.

    Args:
        status: Index into `names["status"]`, [B]; NaN for a response whose verdict came from elsewhere.
        layer: Index into `names["layer"]`, [B], or NaN.
        milliseconds: Wall time of each verdict, [B], or NaN.
        names: The names of statuses and of layers.

    Returns:
        ``{name: value}`` over the responses that have a value; names of nothing are left out. Four responses with
        status 0, 0, 1 and NaN, of the statuses equal and different, give ``laser/scoring/status_frac/equal`` 2/3.
    """
    metrics: dict[str, float] = {}
    for kind, column in (("status", status), ("layer", layer)):
        known = _known(column)
        if known.size:
            counts = np.bincount(known.astype(np.int64), minlength=len(names[kind]))
            shares = zip(names[kind], counts / known.size, strict=True)
            metrics |= {f"laser/scoring/{kind}_frac/{name}": float(share) for name, share in shares}
    known = _known(milliseconds)
    if known.size:
        metrics["laser/scoring/milliseconds/mean"] = float(known.mean())
        metrics["laser/scoring/milliseconds/p99"] = float(np.percentile(known, 99))
    return metrics


def _known(column: ArrayLike) -> Floats:
    values = np.asarray(column, dtype=np.float64)
    known: Floats = values[~np.isnan(values)]
    return known

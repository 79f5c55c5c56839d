"""The methods: how a batch of responses becomes rewards. Numpy and the standard library only."""

from __future__ import annotations

from laser_verl.core import baselines
from laser_verl.core.bands import BANDS, EASY, HARD, MEDIUM, Rounding, band_of, least_solved
from laser_verl.core.framework import Context, Method, MethodBase, Need, Scores, Shaped
from laser_verl.core.laser import Laser, LaserD, LaserDE
from laser_verl.core.mixed import Mixed
from laser_verl.core.registry import MethodInfo, build, describe, method_names, register
from laser_verl.core.rollouts import Rollouts
from laser_verl.core.target_lengths import Summary, TargetLengths, choose_target, coverage, summarise, target_grid

__all__ = [
    "BANDS",
    "EASY",
    "HARD",
    "MEDIUM",
    "Context",
    "Laser",
    "LaserD",
    "LaserDE",
    "Method",
    "MethodBase",
    "MethodInfo",
    "Mixed",
    "Need",
    "Rollouts",
    "Rounding",
    "Scores",
    "Shaped",
    "Summary",
    "TargetLengths",
    "band_of",
    "baselines",
    "build",
    "choose_target",
    "coverage",
    "describe",
    "least_solved",
    "method_names",
    "register",
    "summarise",
    "target_grid",
]

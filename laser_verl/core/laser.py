"""LASER, LASER-D and LASER-DE: a bonus for right answers within a target length.

Source: arXiv 2505.15612, Eq. 2, Table 2 and sections 5.2 and 5.3. Shape letters: B responses.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

import numpy as np

from laser_verl.core.bands import BANDS, Rounding, band_of
from laser_verl.core.checks import Bools, Ints, check_reachable, non_negative, positive_int
from laser_verl.core.framework import STATE_VERSION, MethodBase, Need, Shaped, check_state_method
from laser_verl.core.monitor import FIXED, PAPER_SET, MonitorOption, check_saved_source, monitoring, say_new_source
from laser_verl.core.registry import register
from laser_verl.core.rollouts import Rollouts
from laser_verl.core.target_lengths import TargetLengths, fixed_targets

logger = logging.getLogger(__name__)


@register(
    "laser",
    needs={Need.RESPONSE},
    formula="C + alpha * [solved and L <= target_length]",
    source="arXiv 2505.15612, Eq. 2 and Table 2",
)
@dataclass(kw_only=True, eq=False)
class Laser(MethodBase):
    """A bonus for right, well-formed answers within one fixed target length.

    R = C + alpha * [solved and L <= target_length]. With the defaults and a target of 4000, a solved response of 4000
    tokens gets 1.5, one of 4001 gets 1.0, a wrong one gets -0.5 at any length.

    Source: arXiv 2505.15612, Eq. 2 and Table 2; <= as in Table 2 (Appendix J prints <).

    Attributes:
        target_length: Tokens, 1 or more, at most `max_response_length`.
        alpha: Bonus, 0 or more.
    """

    scaled_by: ClassVar[str | None] = "alpha"

    target_length: int
    alpha: float = 0.5

    def __post_init__(self) -> None:
        """Check the options' ranges."""
        super().__post_init__()
        non_negative("alpha", self.alpha)
        positive_int("target_length", self.target_length, "number of tokens", 4096)
        check_reachable("target_length", self.target_length, self.context.max_response_length)

    def terms(self, rollouts: Rollouts) -> Shaped:
        """Add the bonus.

        Args:
            rollouts: The responses; they need not be whole groups.

        Returns:
            The rewards, with the target of each response.
        """
        return Shaped(
            task_reward=self.scores.of(rollouts),
            length_reward=np.where(rollouts.solved & (rollouts.length <= self.target_length), self.alpha, 0.0),
            target_length=np.full(rollouts.size, float(self.target_length)),
        )

    def target_text(self) -> str:
        """Name the target length."""
        return f"{self.target_length} tokens"

    def metrics(self) -> dict[str, float]:
        """Name the target length."""
        return {"laser/target_length/all": float(self.target_length)}


@register(
    "laser_d",
    needs={Need.GROUP, Need.HISTORY},
    formula="C + alpha * [solved and L <= target length of the group's band]",
    source="arXiv 2505.15612, section 5.2, Eq. 3 and Table 2",
)
@dataclass(kw_only=True, eq=False)
class LaserD(MethodBase):
    """A bonus for right, well-formed answers within the target length of their prompt's difficulty band.

    R = C + alpha * [solved and L <= L_A]; L_A belongs to the band (easy, medium, hard) of the group's pass rate and
    follows recent groups or a monitor set, or is fixed. With targets 2048/4096/8192, a group with 5 of 8 solved is
    medium: its solved responses of up to 4096 tokens get 1.5, longer ones 1.0, wrong ones -0.5.

    Source: arXiv 2505.15612, section 5.2, Eq. 3 and Table 2.

    Departs from the official code: one band rule everywhere; C_d follows the number of rollouts; a band without prompts
    keeps its last target; by default recent training groups take the place of the monitor set.

    Attributes:
        alpha: Bonus, 0 or more.
        target_lengths: Fixed tokens for easy, medium and hard; None lets them follow the training.
        lower_bound: Shortest target, tokens.
        upper_bound: Longest target, tokens; None takes `max_response_length`.
        interval: Step between candidate targets, tokens.
        rounding: "ceil" (paper) or "floor" (released code) for C_d.
        source: Where the lengths come from: "recent", a window of training groups, which costs no rollouts, or
            "monitor", passes over a monitor set (paper).
        window: Groups to look back on, with source "recent".
        max_age: Steps to look back on, with source "recent"; None for as many as the window holds.
        update_every: Steps between two choices of targets, and so between two passes over a monitor set.
        monitor: With source "monitor", its prompts: `size` of them, from the training data or a `file` of their own;
            `exclude` leaves those of the training data out of the training.
        preset: "released_code" rounds down, and for LASER-DE lets looping responses explore.
    """

    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {"released_code": {"rounding": "floor"}}
    scaled_by: ClassVar[str | None] = "alpha"

    alpha: float = 0.5
    target_lengths: Mapping[str, int] | None = None
    lower_bound: int = 2048
    upper_bound: int | None = None
    interval: int = 1024
    rounding: Rounding = "ceil"
    source: str = "recent"
    window: int = 500
    max_age: int | None = None
    update_every: int = 20
    monitor: MonitorOption = PAPER_SET
    preset: Literal["released_code"] | None = None

    def __post_init__(self) -> None:
        """Check the options' ranges and how they go together."""
        super().__post_init__()
        non_negative("alpha", self.alpha)
        self._check_preset()
        self._adaptive: TargetLengths | None = None
        if self.target_lengths is None:
            self._adaptive = self._adaptive_targets()
        else:
            self._fixed = fixed_targets(self.target_lengths, self.context.max_response_length)
        defaults = {item.name: item.default for item in fields(self)}
        preset = self.presets.get(self.preset or "", {})
        self.monitor = monitoring(self._source, vars(self), {**defaults, **preset})

    def _adaptive_targets(self) -> TargetLengths:
        longest = self.context.max_response_length
        upper = longest if self.upper_bound is None else self.upper_bound
        if upper is None:
            raise ValueError(
                "upper_bound=None takes data.max_response_length, which is not known here; give the longest target in "
                "tokens, e.g. 16384"
            )
        check_reachable("upper_bound", upper, longest)
        return TargetLengths(
            lower_bound=self.lower_bound,
            upper_bound=upper,
            interval=self.interval,
            rounding=self.rounding,
            window=self.window,
            max_age=self.max_age,
            update_every=self.update_every,
            group_size=self.context.group_size,
        )

    @property
    def _source(self) -> str:
        return self.source if self.target_lengths is None else FIXED

    @property
    def needs(self) -> frozenset[Need]:
        """The group, and the history too unless the targets are fixed."""
        return self.class_needs if self._adaptive else frozenset({Need.GROUP})

    @property
    def targets(self) -> dict[str, int]:
        """Target length in tokens of each band, as it stands."""
        return dict(zip(BANDS, self._target_array().tolist(), strict=True))

    def target_text(self) -> str:
        """Name the fixed target of each band, or the bounds of adaptive ones and what they follow."""
        if self._adaptive:
            source = self.monitor.text() if self.monitor else "recent groups"
            bounds = f"{self._adaptive.grid[0]} to {self._adaptive.grid[-1]} tokens"
            return f"adaptive per difficulty band, {bounds}, from {source}"
        return ", ".join(f"{band} {tokens}" for band, tokens in self.targets.items()) + " tokens"

    def _target_array(self) -> Ints:
        return self._adaptive.target_array if self._adaptive else self._fixed

    def observe(self, rollouts: Rollouts) -> None:
        """Let the targets follow a batch; fixed targets stay, and so do those that a monitor set gives.

        Args:
            rollouts: The groups of a training step.
        """
        if self._adaptive and self.monitor is None:
            self._adaptive.observe(rollouts)

    def observe_monitor(self, rollouts: Rollouts) -> None:
        """Choose all targets anew from a pass over the monitor set, if that is where they come from.

        Args:
            rollouts: The groups of the pass; a band without one keeps its last target.
        """
        if self._adaptive and self.monitor:
            self._adaptive.observe(rollouts, alone=True)

    def terms(self, rollouts: Rollouts) -> Shaped:
        """Add the bonus.

        Args:
            rollouts: Whole groups; the band of a partial one is that of the responses there are.

        Returns:
            The rewards, with band and target of each response.
        """
        band = band_of(rollouts.group_solved, rollouts.group_size)[rollouts.group]
        target = self._target_array()[band]
        return Shaped(
            task_reward=self.scores.of(rollouts),
            length_reward=np.where(self._has_bonus(rollouts, rollouts.length <= target), self.alpha, 0.0),
            band=band,
            target_length=target.astype(np.float64),
        )

    def _has_bonus(self, rollouts: Rollouts, is_within: Bools) -> Bools:
        return rollouts.solved & is_within

    def metrics(self) -> dict[str, float]:
        """Name the target length of each band, and for adaptive ones the prompts they rest on."""
        if self._adaptive:
            return self._adaptive.metrics()
        return {f"laser/target_length/{band}": float(target) for band, target in self.targets.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return the window and the targets; of fixed targets, only that they are fixed."""
        state = self._adaptive.state_dict() if self._adaptive else {"version": STATE_VERSION}
        return {**state, "method": self.name, "target_source": self._source}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state; LASER-D and LASER-DE read each other's.

        With another source of adaptive targets only the targets are taken.

        Args:
            state: What `state_dict` returned, in a run with the same configuration.

        Raises:
            ValueError: It does not fit; the message says what differs and how to go on.
        """
        check_state_method(state, self.name, ("laser_d", "laser_de"))
        saved = state.get("target_source")
        check_saved_source(saved, self._source)
        if self._adaptive:
            self._adaptive.load_state_dict(state, with_window=saved == self._source)
        say_new_source(saved, self._source)


@register(
    "laser_de",
    needs={Need.GROUP, Need.HISTORY},
    formula="C + alpha * [solved and L <= target] + alpha * [explores and L > target]",
    source="arXiv 2505.15612, section 5.3 and Table 2",
)
@dataclass(kw_only=True, eq=False)
class LaserDE(LaserD):
    """LASER-D that also pays wrong answers for going on beyond the target length.

    R = C + alpha * [solved and L <= L_A] + alpha * [explores and L > L_A]. With a target of 4096, a wrong, well-formed
    response of 4096 tokens gets -0.5, one of 4097 gets 0.0, a malformed one gets -1 at any length.

    Source: arXiv 2505.15612, section 5.3 and Table 2.

    Departs from the official code: a looping response does not explore (the release means that, but its filter never
    fires). By default departs from the paper, which pays every unsolved response: `explore="all"`.

    Attributes:
        explore: Which unsolved responses explore: "sound" (well formed, not looping), "well_formed" (as the released
            code does), or "all" (the paper's literal rule).
    """

    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "released_code": {"rounding": "floor", "explore": "well_formed"}
    }

    explore: Literal["sound", "well_formed", "all"] = "sound"

    def __post_init__(self) -> None:
        """Check the options as LASER-D does, and warn if a long wrong answer would be worth as much as a right one."""
        super().__post_init__()
        if self.scores.wrong + self.alpha >= self.scores.correct:
            logger.warning(
                "laser_verl: alpha=%s makes a long wrong answer (%s) worth at least as much as a long right one (%s)",
                self.alpha,
                self.scores.wrong + self.alpha,
                self.scores.correct,
            )

    def _has_bonus(self, rollouts: Rollouts, is_within: Bools) -> Bools:
        explores = ~rollouts.solved
        if self.explore != "all":
            explores &= rollouts.well_formed
        if self.explore == "sound":
            explores &= ~rollouts.repetitive
        return (rollouts.solved & is_within) | (explores & ~is_within)

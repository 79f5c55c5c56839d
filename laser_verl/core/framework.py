"""What a method is and what it gives.

Every method shapes rewards as R = C + lambda * S (arXiv 2505.15612, Eq. 2): C what the answer is worth, S what its
length is worth, lambda a gate. Shape letters: B responses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from laser_verl.core.checks import Floats
from laser_verl.core.monitor import Monitoring
from laser_verl.core.options import Scores, check_ramp
from laser_verl.core.rollouts import Rollouts

__all__ = ["Context", "Method", "MethodBase", "Need", "Scores", "Shaped"]


STATE_VERSION = 1


class Need(StrEnum):
    """What a method has to see before it can shape one response."""

    RESPONSE = "response"
    GROUP = "group"
    BATCH = "batch"
    HISTORY = "history"
    PROMPT = "prompt"


@dataclass(frozen=True, eq=False)
class Shaped:
    """Rewards of a batch.

    Attributes:
        task_reward: C, [B].
        length_reward: lambda * S, [B]; the sum, where a method has several length terms.
        band: `EASY`, `MEDIUM` or `HARD` of the response's group, [B]; None if the method has no bands, `NO_BAND` (-1)
            for a response of a mixture whose own method has none.
        target_length: Tokens, [B]; None if the method has no targets, NaN for a response without one.
        ramp_frac: How much of the length term is in force, 0 to 1; None if nothing brings it in gradually.
    """

    task_reward: Floats
    length_reward: Floats
    band: NDArray[np.int8] | None = None
    target_length: Floats | None = None
    ramp_frac: float | None = None

    @property
    def reward(self) -> Floats:
        """C + lambda * S, [B]."""
        return self.task_reward + self.length_reward


@dataclass(frozen=True)
class Context:
    """What a method takes from the run's configuration, not from its own options.

    Attributes:
        group_size: `rollout.n`; None takes the largest group of the first batch.
        max_response_length: `data.max_response_length`, tokens; None if not known.
    """

    group_size: int | None = None
    max_response_length: int | None = None


class Method(Protocol):
    """A reward-shaping rule; per step the caller calls `observe`, then `shape`, with the same batch.

    Before a step for which `monitor` is due it lets the model answer the monitor set, and calls `observe_monitor`.
    """

    @property
    def name(self) -> str:
        """Registered name."""

    @property
    def needs(self) -> frozenset[Need]:
        """What this instance has to see; a method with fixed targets may need less than its class says."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of `Rollouts` that this instance reads where they are given."""

    @property
    def required_columns(self) -> tuple[str, ...]:
        """Columns of `Rollouts` that every response must bring."""

    @property
    def instruction(self) -> str | None:
        """Sentence with `{budget}` that every prompt gets; None leaves the prompts alone."""

    @property
    def scaled_by(self) -> str | None:
        """Option that multiplies the length term and does nothing else; None where there is none."""

    @property
    def monitor(self) -> Monitoring | None:
        """Prompts that the model answers every so many steps for this instance to learn from; None for none."""

    def scale_in_force(self) -> float | None:
        """Return the number that the option `scaled_by` stands for."""

    def target_text(self) -> str | None:
        """Return the target lengths in words; None without any."""

    def part_of(self, data_source: str | None) -> Method:
        """Return the method that shapes a data source's responses; ValueError where there is none."""

    def scores_of(self, data_source: str | None) -> Scores:
        """Return what the answers to a data source's prompts are worth."""

    def rollout_limit(self, step: int) -> int | None:
        """Return the longest response that a step's rollout has to allow, tokens; None leaves it to the config."""

    def observe(self, rollouts: Rollouts) -> None:
        """Learn from a batch before it is shaped."""

    def observe_monitor(self, rollouts: Rollouts) -> None:
        """Learn from a pass over the monitor set; only lengths and verdicts count, and nothing is shaped."""

    def shape(self, rollouts: Rollouts) -> Shaped:
        """Return the rewards of a batch; changes no state."""

    def metrics(self) -> dict[str, float]:
        """Return the method's own numbers to log, by their full names."""

    def state_dict(self) -> dict[str, Any]:
        """Return all that a resumed run needs: a flat dict of ints, texts and arrays, with a version."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state, or raise ValueError saying what does not fit."""


@dataclass(kw_only=True, eq=False)
class MethodBase:
    """Base of registered methods: options are dataclass fields. As it stands it keeps no state.

    A method gives its rewards in `terms`; `shape` brings their length term in gradually where `ramp` says so.

    Attributes:
        scores: C for correct, wrong and malformed responses.
        ramp: First and last step over which the length term grows from nothing to its full size; None has it in full
            from the start.
    """

    name: ClassVar[str]
    class_needs: ClassVar[frozenset[Need]]
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {}
    """Options that each value of an option `preset` stands for."""

    columns: ClassVar[tuple[str, ...]] = ()
    """Columns of `Rollouts` that are read where they are given: `extra_info` of the data's rows, or `uses_thinking`."""

    instruction: ClassVar[str | None] = None
    """Sentence with `{budget}` that every prompt gets; None leaves the prompts alone."""

    scaled_by: ClassVar[str | None] = None
    """Option that multiplies the length term and does nothing else: twice the option, twice the length term."""

    context: Context = field(default_factory=Context, repr=False)
    scores: Scores = field(default_factory=Scores)
    ramp: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        """Check the options that all methods share."""
        check_ramp(self.ramp)

    def _check_preset(self) -> None:
        """Refuse an option that contradicts the option `preset`, for methods whose presets stand for all they set."""
        preset = getattr(self, "preset", None)
        for option, value in self.presets.get(preset or "", {}).items():
            if getattr(self, option) != value:
                raise ValueError(
                    f"{option}={getattr(self, option)!r} contradicts preset={preset!r}, which sets {value!r}; "
                    "leave out one of the two"
                )

    @property
    def needs(self) -> frozenset[Need]:
        """What this instance has to see."""
        return self.class_needs

    @property
    def required_columns(self) -> tuple[str, ...]:
        """Columns that every response must bring."""
        return self.columns

    @property
    def monitor(self) -> Monitoring | None:
        """Have no monitor set."""
        return None

    def scale_in_force(self) -> float | None:
        """Return the number that the option `scaled_by` stands for; None without such an option."""
        return None if self.scaled_by is None else float(getattr(self, self.scaled_by))

    def target_text(self) -> str | None:
        """Have no target lengths to name."""
        return None

    def part_of(self, data_source: str | None) -> Method:
        """Return the method that shapes a data source's responses: this one; ValueError where there is none."""
        return self

    def scores_of(self, data_source: str | None) -> Scores:
        """Return the scores, which are the same for every data source."""
        return self.scores

    def rollout_limit(self, step: int) -> int | None:
        """Leave the length of rollouts to the config."""
        return None

    def longest_response(self, rollouts: Rollouts) -> int | None:
        """Return the longest response that sampling allowed, tokens, as batch or run tell; None if neither does."""
        return rollouts.max_response_length or self.context.max_response_length

    def terms(self, rollouts: Rollouts) -> Shaped:
        """Return C and lambda * S in full; changes no state.

        Args:
            rollouts: Whole groups where the method needs them.

        Returns:
            The rewards.
        """
        raise NotImplementedError(f"{type(self).__name__} has to define terms(rollouts)")

    def shape(self, rollouts: Rollouts) -> Shaped:
        """Return the rewards of a batch, with as much of the length term as the ramp allows at its step.

        With `ramp=[100, 200]` a length term of -0.4 is 0 up to step 100, -0.2 at step 150, and -0.4 from step 200 on.

        Args:
            rollouts: Whole groups where the method needs them.

        Returns:
            The rewards.
        """
        shaped = self.terms(rollouts)
        if self.ramp is None:
            return shaped
        first, last = self.ramp
        share = float(np.clip((rollouts.step - first) / (last - first), 0.0, 1.0))
        return replace(shaped, length_reward=share * shaped.length_reward, ramp_frac=share)

    def observe(self, rollouts: Rollouts) -> None:
        """Learn nothing."""

    def observe_monitor(self, rollouts: Rollouts) -> None:
        """Learn nothing from a pass over the monitor set that another method of a mixture asked for."""

    def metrics(self) -> dict[str, float]:
        """Have nothing to log."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Return a state that holds only the method's name."""
        return {"version": STATE_VERSION, "method": self.name}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Check that the state is of this method.

        Args:
            state: What `state_dict` returned.

        Raises:
            ValueError: It is another method's.
        """
        check_state_method(state, self.name, {self.name})


def check_state_method(state: Mapping[str, Any], name: str, readable: Iterable[str]) -> None:
    """Raise ValueError unless a saved state is of one of the methods `readable`; `name` is the one that reads."""
    afresh = "delete the file laser_state of that checkpoint to start the method afresh"
    if (version := state.get("version")) != STATE_VERSION:
        raise ValueError(f"the saved state has version {version!r}, this release reads {STATE_VERSION}; {afresh}")
    if (saved := state.get("method")) not in set(readable):
        raise ValueError(
            f"the saved state is of method {saved!r}, this run uses {name!r}; to go on, set the saved method again, or "
            f"{afresh}"
        )

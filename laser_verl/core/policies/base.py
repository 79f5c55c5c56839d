"""What a sampling policy is, and where policies are found by name.

A policy is named by `laser.sampler.policy`; its options lie beside it. Shape letters: N places drawn, U distinct
prompts of a batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, TypeVar, cast

import numpy as np

from laser_verl.core.checks import Ints
from laser_verl.core.framework import Context, Need
from laser_verl.core.policies.pool import Pool
from laser_verl.core.registry import MethodInfo, Registry
from laser_verl.core.tracker import Outcome

__all__ = ["Outcome", "Policy", "PolicyBase", "Pool", "build_policy", "describe_policy", "policy_names"]

POLICIES = Registry("sampling policy")

STATE_VERSION = 1

REFUSED = {
    "speed": "screening (SPEED-RL, arXiv 2506.09016) submits a prompt a second time within its step, and verl numbers "
    "a prompt's rollouts from 0 on each submission, so that the second would overwrite the first; max_entropy prefers "
    "the same prompts by what is known of them",
}
"""Names of policies that are not built, with the reason."""

_C = TypeVar("_C", bound=type[Any])


def register_policy(name: str, *, source: str, formula: str) -> Callable[[_C], _C]:
    """Register a policy under a name that users write; see `Registry.register`."""
    return POLICIES.register(name, needs=(), formula=formula, source=source)


class Policy(Protocol):
    """A rule that says which prompts come next."""

    @property
    def name(self) -> str:
        """Registered name."""

    @property
    def is_adaptive(self) -> bool:
        """Whether the draws follow what training observes."""

    @property
    def stays_inside(self) -> bool:
        """Whether it keeps prompts out on purpose, so that none may be added to its draws."""

    @property
    def column_names(self) -> tuple[str, ...]:
        """Columns of the data that it reads."""

    def start(self, pool: Pool) -> None:
        """Begin on a pool, or raise ValueError saying why it cannot draw from it; once more begins anew."""

    def draw(self, count: int, rng: np.random.Generator, excluded: Ints) -> Ints:
        """Return distinct places, [N], none of those excluded if it is adaptive."""

    def observe(self, outcome: Outcome) -> None:
        """Learn from a batch that the tracker has observed; its prompts are of the pool."""

    def metrics(self) -> dict[str, float]:
        """Return the policy's own numbers to log, by their full names."""

    def position(self) -> dict[str, int]:
        """Return what only drawing changes."""

    def go_to(self, position: Mapping[str, int]) -> None:
        """Go on drawing from a position on the same pool."""

    def state_dict(self) -> dict[str, Any]:
        """Return what observing changes and the tracker does not hold: a flat dict, with a version."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state once the tracker has gone on from its own, or raise ValueError."""


@dataclass(kw_only=True, eq=False)
class PolicyBase:
    """Base of registered policies: options are dataclass fields. As it stands it learns nothing.

    A policy draws in `choose`; `draw` sees to it that there are enough prompts.
    """

    name: ClassVar[str]
    class_needs: ClassVar[frozenset[Need]]
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {}
    """Options that each value of an option `preset` stands for."""

    columns: ClassVar[tuple[str, ...]] = ()
    """Columns of the data that are read with default options."""

    stays_inside: ClassVar[bool] = False
    """Whether it keeps prompts out on purpose, so that none may be added to its draws."""

    context: Context = field(default_factory=Context, repr=False)
    _pool: Pool = field(init=False, repr=False)

    @property
    def is_adaptive(self) -> bool:
        """Whether the draws follow what training observes."""
        return True

    @property
    def column_names(self) -> tuple[str, ...]:
        """Columns of the data that it reads."""
        return ()

    def start(self, pool: Pool) -> None:
        """Begin on a pool; once more begins anew.

        Args:
            pool: What to draw from, its tracker with all that is known so far.

        Raises:
            ValueError: It has fewer prompts than a batch, or columns that the policy cannot read.
        """
        if pool.size < pool.batch_size:
            raise ValueError(
                f"a batch of {pool.batch_size} prompts is more than the {pool.size} different prompts of the data; "
                f"lower data.train_batch_size to at most {pool.size}"
            )
        self._pool = pool

    def draw(self, count: int, rng: np.random.Generator, excluded: Ints) -> Ints:
        """Draw prompts.

        Args:
            count: How many.
            rng: The draw's own.
            excluded: Places not to draw, [..]; a policy that is not adaptive takes no notice.

        Returns:
            Distinct places, [N].

        Raises:
            ValueError: There are fewer than `count`.
        """
        barred = np.unique(excluded).astype(np.int64) if self.is_adaptive else np.zeros(0, dtype=np.int64)
        barred = barred[(barred >= 0) & (barred < self._pool.size)]
        if count > self._pool.size - len(barred):
            raise ValueError(
                f"count={count} is more than the {self._pool.size - len(barred)} prompts to draw from; lower "
                "data.train_batch_size, or add prompts to the data"
            )
        return self.choose(count, rng, barred) if count else np.zeros(0, dtype=np.int64)

    def choose(self, count: int, rng: np.random.Generator, excluded: Ints) -> Ints:
        """Draw prompts, of which there are enough.

        Args:
            count: How many, 1 or more.
            rng: The draw's own.
            excluded: Places not to draw, distinct and sorted.

        Returns:
            Distinct places, [N].
        """
        raise NotImplementedError(f"{type(self).__name__} has to define choose(count, rng, excluded)")

    def observe(self, outcome: Outcome) -> None:
        """Learn nothing."""

    def metrics(self) -> dict[str, float]:
        """Have nothing to log."""
        return {}

    def position(self) -> dict[str, int]:
        """Have no position: each draw is like any other."""
        return {}

    def go_to(self, position: Mapping[str, int]) -> None:
        """Have no position."""

    def state_dict(self) -> dict[str, Any]:
        """Return a state that holds only the policy's name."""
        return {"version": STATE_VERSION, "policy": self.name}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Check that the state is of this policy.

        Args:
            state: What `state_dict` returned.

        Raises:
            ValueError: It is another policy's, or of another version.
        """
        saved = (state.get("version"), state.get("policy"))
        if saved != (STATE_VERSION, self.name):
            raise ValueError(
                f"the saved state is of policy {saved[1]!r}, version {saved[0]!r}, this run uses {self.name!r}, "
                f"version {STATE_VERSION}; to go on, set the saved policy again, or {_AFRESH}"
            )


_AFRESH = "delete the file laser_state of that checkpoint to start the sampler afresh"


def saved_number(state: Mapping[str, Any], name: str) -> float:
    """Read a finite number of a saved state; ValueError where it has none."""
    value = state.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not math.isfinite(value):
        raise damaged(name, value)
    return float(value)


def damaged(name: str, value: object) -> ValueError:
    """Word the error for an entry of a saved state that this policy, with its options, could not have saved."""
    return ValueError(f"the saved state of the sampler does not fit or is damaged: {name}={value!r:.60}; {_AFRESH}")


def policy_names() -> list[str]:
    """Return the names of the policies, sorted."""
    return POLICIES.names()


def describe_policy(name: str) -> MethodInfo:
    """Look a policy up; see `Registry.describe`."""
    _refuse(name)
    return POLICIES.describe(name)


def build_policy(name: str, options: Mapping[str, Any] | None = None, context: Context | None = None) -> Policy:
    """Make a policy from what the user wrote; see `Registry.build`.

    `build_policy("dots", {"tau": 0.1})` is `Dots(tau=0.1)`.
    """
    _refuse(name)
    return cast(Policy, POLICIES.build(name, options, context))


def _refuse(name: str) -> None:
    if name in REFUSED:
        raise ValueError(f"sampling policy {name!r} is not built: {REFUSED[name]}")

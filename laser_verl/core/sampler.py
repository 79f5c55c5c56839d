"""Which prompts come next: a policy, a floor of exploration, and a position that a resumed run goes on from.

Shape letters: P prompts of the pool, N prompts drawn.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from laser_verl.core.bands import BANDS, NO_BAND
from laser_verl.core.checks import Ints
from laser_verl.core.policies.base import Policy, Pool
from laser_verl.core.policies.walk import Walk
from laser_verl.core.tracker import DifficultyTracker, Outcome

EPSILON = 0.05

# Keeps the permutations of the exploring rounds apart from those of the policies.
_EXPLORING = 1


def explores(policy: Policy) -> bool:
    """Whether prompts may be added to a policy's draws: not to a fixed order, nor where it keeps prompts out."""
    return policy.is_adaptive and not policy.stays_inside


class Sampler:
    """Draws the prompts of training steps by a policy.

    Every draw has a generator of its own, seeded by (seed, number of the draw), so that a position is a few whole
    numbers. Under an adaptive policy a share `epsilon` of each draw comes from all prompts in turn: with P prompts and
    batches of B each is drawn at least once in about P / (epsilon * B) steps, 4,000 for 40,000 prompts, batches of 200
    and 0.05. A prompt that is drawn is in flight until it is observed, and is not drawn again meanwhile, unless too few
    others are left.
    """

    def __init__(self, policy: Policy, pool: Pool, epsilon: float = EPSILON) -> None:
        """Start a policy on a pool.

        Args:
            policy: As `build_policy` made it.
            pool: What it draws from, with the seed of all draws.
            epsilon: The exploring share, 0 to 1; a policy of a fixed order, or one that keeps prompts out on purpose,
                takes no notice.

        Raises:
            ValueError: The policy cannot draw from the pool, e.g. since it holds fewer prompts than a batch.
        """
        policy.start(pool)
        self.policy = policy
        self._pool = pool
        self._epsilon = epsilon if explores(policy) else 0.0
        self._exploring = Walk(pool.size, (pool.seed, _EXPLORING))
        self._draws = 0
        self._in_flight: set[int] = set()
        self._ahead: deque[dict[str, Any]] = deque()
        self._handed_over = self._position()

    def draw(self, count: int) -> Ints:
        """Draw prompts for a step.

        Args:
            count: Prompts, 1 to P.

        Returns:
            Distinct places, [N].
        """
        self._draws += 1
        rng = np.random.default_rng((self._pool.seed, self._draws))
        if self.policy.is_adaptive:
            places = self._draw_adaptive(count, rng)
            self._in_flight.update(places.tolist())
        else:
            places = self.policy.draw(count, rng, np.zeros(0, dtype=np.int64))
        self._ahead.append(self._position())
        return places

    def _draw_adaptive(self, count: int, rng: np.random.Generator) -> Ints:
        excluded = self._excluded(count)
        num_exploring = min(int(self._epsilon * count + rng.random()), count)
        exploring = self._exploring.take(num_exploring, excluded)
        taken = np.concatenate([excluded, exploring])
        chosen = self.policy.draw(count - num_exploring, rng, taken)
        return np.concatenate([chosen, exploring])

    def _excluded(self, count: int) -> Ints:
        if self._pool.size - len(self._in_flight) < count:
            self._in_flight.clear()
        return np.fromiter(self._in_flight, dtype=np.int64, count=len(self._in_flight))

    def hand_over(self) -> None:
        """Say that the oldest draw reached the trainer: what is saved goes on after it, whatever ran ahead."""
        if self._ahead:
            self._handed_over = self._ahead.popleft()

    def only_in_flight(self, places: Iterable[int] = ()) -> None:
        """Say which prompts are under way; all others may be drawn again."""
        self._in_flight = set(places)

    @property
    def in_flight(self) -> frozenset[int]:
        """Places drawn and still under way."""
        return frozenset(self._in_flight)

    def observe(self, outcome: Outcome) -> None:
        """Let the policy learn from a batch that the tracker has observed; its prompts are no longer in flight."""
        in_pool = outcome.places < self._pool.size
        self._in_flight.difference_update(outcome.places.tolist())
        self.policy.observe(outcome.select(in_pool))

    def metrics(self, step: int) -> dict[str, float]:
        """Name the share of the pool that was never seen, the longest time since a prompt was, and the policy's own."""
        last = self._pool.tracker.last_step[: self._pool.size]
        return {
            "laser/sampler/unseen_frac": np.count_nonzero(last < 0) / self._pool.size,
            "laser/sampler/starvation_age": float(step - max(int(last.min()), 0)),
            **self.policy.metrics(),
        }

    def restart(self) -> None:
        """Let the policy look at the tracker again, which has gone on from a saved state."""
        self.policy.start(self._pool)

    def _position(self) -> dict[str, Any]:
        return {"draws": self._draws, "exploring": self._exploring.position(), "policy": self.policy.position()}

    def state_dict(self) -> dict[str, Any]:
        """Return all that a resumed run needs, as of the last draw that was handed over."""
        return {
            "policy": self.policy.name,
            "seed": self._pool.seed,
            "position": self._handed_over,
            "learned": self.policy.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any], is_same_pool: bool = True) -> list[str]:
        """Go on from a saved state.

        Args:
            state: What `state_dict` returned.
            is_same_pool: Whether the pool is the one of the saved state; of another one, rounds begin anew.

        Returns:
            What does not go on, in words; empty where all does.
        """
        if (saved := state.get("policy")) != self.policy.name:
            return [f"the policy was {saved}, is {self.policy.name}, which begins anew"]
        self.policy.load_state_dict(state["learned"])
        if state["seed"] != self._pool.seed:
            return [f"laser.seed was {state['seed']}, is {self._pool.seed}, so that the sampler draws otherwise"]
        if not is_same_pool:
            return ["the rounds of the sampler begin anew, since its prompts are others"]
        position = state["position"]
        self._draws = int(position["draws"])
        self._exploring.go_to(position["exploring"])
        self.policy.go_to(position["policy"])
        self._handed_over = self._position()
        return []


def draw_metrics(tracker: DifficultyTracker, places: Ints, step: int) -> dict[str, float]:
    """Describe the prompts of a batch as they were known before it.

    Args:
        tracker: Before it observes the batch.
        places: Of the batch's distinct prompts, [N], -1 for one not known.
        step: Of the batch.

    Returns:
        `laser/sampler/drawn_frac/{easy,medium,hard,unseen}`, and `laser/sampler/staleness`, the mean number of steps
        since a prompt was last seen, where one was.
    """
    known = places[places >= 0]
    band = tracker.bands(known)
    counts = {name: int((band == number).sum()) for number, name in enumerate(BANDS)}
    counts["unseen"] = len(places) - int((band != NO_BAND).sum())
    shares = {f"laser/sampler/drawn_frac/{name}": count / max(len(places), 1) for name, count in counts.items()}
    last = tracker.last_step[known[band != NO_BAND]]
    return shares | ({"laser/sampler/staleness": float((step - last).mean())} if last.size else {})

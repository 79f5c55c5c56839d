"""Difficulty pools in plain Python, which the tracker is timed beside."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(slots=True)
class Record:
    """What a plain pool knows of a prompt."""

    pool: str = "medium"
    reward: float = 0.0
    drawn: int = 0


class PlainPool:
    """Difficulty pools in plain Python, in the manner of prime-rl; the code is ours.

    The record of a prompt, found by its id, says which pool it is in, by its last mean reward. Each pool gives its
    share of a batch, drawn from a list of its prompts.
    """

    def __init__(self, shares: Mapping[str, float], ids: list[str]) -> None:
        self.shares = shares
        self.records = {name: Record() for name in ids}

    def observe(self, ids: list[str], rewards: list[float]) -> None:
        """Update the records of a batch, given row by row, and move their prompts."""
        of_prompt = defaultdict(list)
        for name, reward in zip(ids, rewards, strict=True):
            of_prompt[name].append(reward)
        for name, given in of_prompt.items():
            record, mean = self.records[name], sum(given) / len(given)
            record.pool = "easy" if mean >= 2 / 3 else "hard" if mean < 1 / 3 else "medium"
            record.reward, record.drawn = mean, record.drawn + 1

    def draw(self, count: int) -> list[str]:
        """Draw from each pool by its share, and from all prompts what a pool lacks."""
        drawn: list[str] = []
        for pool, share in self.shares.items():
            members = [name for name, record in self.records.items() if record.pool == pool]
            drawn += random.sample(members, min(int(share * count), len(members)))
        missing = count - len(drawn)
        return drawn + (random.sample(list(self.records.keys() - set(drawn)), missing) if missing else [])

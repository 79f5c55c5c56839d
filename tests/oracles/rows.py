"""What an oracle sees of a response and of a run, and the registry of oracles."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Row:
    """One response."""

    prompt: Hashable
    length: int
    correct: bool
    well_formed: bool = True
    repetitive: bool = False
    truncated: bool = False
    columns: Mapping[str, Any] = field(default_factory=dict)

    @property
    def solved(self) -> bool:
        return self.correct and self.well_formed


Group = list[Row]


@dataclass(frozen=True)
class Batch:
    """The groups of one training step."""

    groups: list[Group]
    step: int = 0


Rule = Callable[..., list[float]]


@dataclass(frozen=True)
class Oracle:
    """Total reward of each row, batch by batch and group by group, by `rule(batches, **options)`."""

    rule: Rule
    options: tuple[dict[str, Any], ...]
    """The tries."""

    columns: tuple[str, ...]
    """Columns that the rows must bring."""


ORACLES: dict[str, Oracle] = {}


def run_oracle(name: str, *options: dict[str, Any], columns: tuple[str, ...] = ()) -> Callable[[Rule], Rule]:
    """Register the oracle of a method that looks at whole batches, at their steps, or at what came before."""

    def add(rule: Rule) -> Rule:
        assert name not in ORACLES
        ORACLES[name] = Oracle(rule, options or ({},), columns)
        return rule

    return add


def oracle(name: str, *options: dict[str, Any], columns: tuple[str, ...] = ()) -> Callable[[Rule], Rule]:
    """Register the oracle of a method that takes each group by itself."""

    def add(rule: Rule) -> Rule:
        def whole(batches: Sequence[Batch], **given: Any) -> list[float]:
            return [reward for batch in batches for group in batch.groups for reward in rule(group, **given)]

        run_oracle(name, *options, columns=columns)(whole)
        return rule

    return add

"""What an oracle sees of a response, and the registry of oracles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Row:
    length: int
    solved: bool
    well_formed: bool = True
    truncated: bool = False
    columns: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Oracle:
    """Total reward of each row of one group, by `rule(rows, **options)`; `options` holds the tries."""

    rule: Callable[..., list[float]]
    options: tuple[dict[str, Any], ...] = ({},)
    columns: tuple[str, ...] = ()
    """Columns that the rows must bring."""


ORACLES: dict[str, Oracle] = {}


def oracle(name: str, *options: dict[str, Any], columns: tuple[str, ...] = ()) -> Callable[[Any], Any]:
    """Register the oracle of a method."""

    def add(rule: Callable[..., list[float]]) -> Callable[..., list[float]]:
        assert name not in ORACLES
        ORACLES[name] = Oracle(rule, options or ({},), columns)
        return rule

    return add

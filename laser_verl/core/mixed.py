"""Each data source of a batch shaped by a method of its own.

Shape letters: B responses.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from laser_verl.core.bands import NO_BAND
from laser_verl.core.checks import Bools, first_rows, unknown
from laser_verl.core.framework import STATE_VERSION, Method, MethodBase, Need, Scores, Shaped, check_state_method
from laser_verl.core.guarded import checked
from laser_verl.core.monitor import Monitoring, common
from laser_verl.core.registry import build, describe, register
from laser_verl.core.rollouts import Rollouts

DATA_SOURCE = "data_source"
DEFAULT = "default"


@register(
    "mixed",
    needs=set(Need),
    formula="that of the method of the response's data source",
    source="ours",
)
@dataclass(kw_only=True, eq=False)
class Mixed(MethodBase):
    """A method of its own for each data source of the batch, with options and state apart.

    `per_data_source={math: {method: laser, target_length: 4096}, chat: none}` pays a solved response to a math prompt
    1.5 within 4096 tokens and 1 beyond, a right response to a chat prompt 1 at any length.

    It needs what its methods need. Their metrics carry the name of the source: `laser/math/target_length/all`. Each
    prompt's rollouts follow the limit of its own method. A data source of validation alone needs no method.

    Attributes:
        per_data_source: Method of each data source: its name, or a mapping of `method` and its options. The key
            `default` stands for all sources not named.
        scores: Always null: the methods have their own.
        ramp: Always null: the methods have their own.
    """

    columns: ClassVar[tuple[str, ...]] = (DATA_SOURCE,)

    per_data_source: Mapping[str, Any]
    scores: Scores | None = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        """Build the methods."""
        super().__post_init__()
        if not self.per_data_source:
            raise ValueError("per_data_source={} is empty; give a method per data source, e.g. {math: laser_d}")
        for option in ("scores", "ramp"):
            if getattr(self, option) is not None:
                raise ValueError(
                    f"{option} beside per_data_source would reach none of its methods; give it to each that shall have "
                    f"it, e.g. per_data_source.{next(iter(self.per_data_source))}.{option}"
                )
        self.parts: dict[str, Method] = {source: self._part(source, entry) for source, entry in self._entries()}
        read = dict.fromkeys(name for part in self.parts.values() for name in part.columns)
        self.columns = tuple(dict.fromkeys([DATA_SOURCE, *read]))  # type: ignore[misc]
        self._monitor = common({source: part.monitor for source, part in self.parts.items()})

    def _entries(self) -> Iterator[tuple[str, tuple[str, dict[str, Any]]]]:
        for source, entry in self.per_data_source.items():
            if not isinstance(source, str) or not source:
                raise ValueError(f"per_data_source has the key {source!r}; give a data_source of the data, a text")
            options = {"method": entry} if isinstance(entry, str) else dict(entry) if isinstance(entry, Mapping) else {}
            name = options.pop("method", None)
            if not isinstance(name, str):
                raise ValueError(
                    f"per_data_source.{source}={entry!r} names no method; give a name, or a mapping with the key "
                    "method, e.g. laser_d or {method: laser_d, alpha: 0.5}; plain correctness is the method none"
                )
            yield source, (name, options)

    def _part(self, source: str, entry: tuple[str, dict[str, Any]]) -> Method:
        name, options = entry
        where, options_known = f"per_data_source.{source}", dict[str, Any]()
        if name == self.name:
            raise ValueError(f"{where}={name!r} is a mixture in a mixture; name its data sources beside {source!r}")
        try:
            options_known = describe(name).options
            part = build(name, options, self.context)
        except ValueError as error:
            is_of_option = re.split(r"\W", str(error), maxsplit=1)[0] in options_known
            raise ValueError(f"{where}{'.' if is_of_option else ': '}{error}") from error
        if part.instruction is not None:
            raise ValueError(
                f"{where}: {name} puts a budget into every prompt, which a mixture cannot do for one data source; "
                "train on that source alone, or give it another method"
            )
        return part

    @property
    def needs(self) -> frozenset[Need]:
        """What the methods need."""
        return frozenset[Need]().union(*(part.needs for part in self.parts.values()))

    @property
    def required_columns(self) -> tuple[str, ...]:
        """The data source, and what all the methods require; `part_of` tells what one source's require."""
        first, *others = (part.required_columns for part in self.parts.values())
        return (DATA_SOURCE, *(name for name in first if all(name in columns for columns in others)))

    @property
    def monitor(self) -> Monitoring | None:
        """The monitor set that the methods with one agree on."""
        return self._monitor

    def part_of(self, data_source: str | None) -> Method:
        """Return the method of a data source; ValueError where it has none."""
        part = self._find(data_source)
        if part is None:
            raise ValueError(
                f"{unknown(DATA_SOURCE, data_source, self.parts)}; add it to per_data_source, or a default for "
                "all that are not named, e.g. default: none"
            )
        return part

    def _find(self, data_source: str | None) -> Method | None:
        named = self.parts.get(data_source) if data_source is not None else None
        return named or self.parts.get(DEFAULT)

    def scores_of(self, data_source: str | None) -> Scores:
        """Return the scores of the source's method; of a source without one, which only validation may have, ours."""
        part = self._find(data_source)
        return Scores() if part is None else part.scores_of(data_source)

    def rollout_limit(self, step: int) -> int | None:
        """Return the longest response that one of the methods allows; None if one leaves it to the config."""
        limits = [part.rollout_limit(step) for part in self.parts.values()]
        known = [limit for limit in limits if limit is not None]
        return max(known) if len(known) == len(limits) else None

    def split(self, rollouts: Rollouts) -> dict[str, Bools]:
        """Find the responses of each part.

        Args:
            rollouts: Whole groups, with the column `data_source`.

        Returns:
            A mask, [B], by key of `per_data_source`; keys without responses are left out.

        Raises:
            ValueError: The column is missing, a source has no method, or a group is of two sources.
        """
        sources = rollouts.columns.get(DATA_SOURCE)
        if sources is None or sources.ndim != 1:
            raise ValueError(f"the batch has no column {DATA_SOURCE}; give the data source of each response, a text")
        of_group = sources[first_rows(rollouts.group)]
        strays = sources != of_group[rollouts.group]
        if strays.any():
            row = int(np.argmax(strays))
            raise ValueError(
                f"{DATA_SOURCE}[{row}]={sources[row]!r} is not that of its group, the prompt "
                f"{rollouts.prompt_key[rollouts.group[row]]!r}; give all responses to a prompt the same"
            )
        number = {source: place for place, source in enumerate(self.parts)}
        default = number.get(DEFAULT, -1)
        places = np.array([number.get(source, default) for source in of_group.tolist()], dtype=np.int64)
        if (places < 0).any():
            self.part_of(of_group.tolist()[int(np.argmin(places))])
        places = places[rollouts.group]
        masks = {source: places == place for source, place in number.items()}
        return {source: mask for source, mask in masks.items() if mask.any()}

    def observe(self, rollouts: Rollouts) -> None:
        """Let each method learn from the groups of its sources.

        Args:
            rollouts: The groups of a training step.
        """
        for source, mask in self.split(rollouts).items():
            with self._named(source):
                self.parts[source].observe(rollouts.select(mask))

    def observe_monitor(self, rollouts: Rollouts) -> None:
        """Let each method with a monitor set learn from the prompts of its sources.

        Args:
            rollouts: A pass over the monitor set.
        """
        for source, mask in self.split(rollouts).items():
            with self._named(source):
                self.parts[source].observe_monitor(rollouts.select(mask))

    def terms(self, rollouts: Rollouts) -> Shaped:
        """Put together what the methods pay.

        Args:
            rollouts: Whole groups, with the column `data_source`.

        Returns:
            The rewards; bands are `NO_BAND` where a response's method has none, and of several ramps the mean.
        """
        parts: list[tuple[Bools, Shaped]] = []
        for source, mask in self.split(rollouts).items():
            part = rollouts.select(mask)
            with self._named(source):
                parts.append((mask, checked(self.parts[source].shape(part), part.size)))
        size = rollouts.size
        bands = [(mask, shaped.band) for mask, shaped in parts if shaped.band is not None]
        targets = [(mask, shaped.target_length) for mask, shaped in parts if shaped.target_length is not None]
        ramps = [shaped.ramp_frac for _, shaped in parts if shaped.ramp_frac is not None]
        return Shaped(
            task_reward=_joined(size, [(mask, shaped.task_reward) for mask, shaped in parts], 0.0),
            length_reward=_joined(size, [(mask, shaped.length_reward) for mask, shaped in parts], 0.0),
            band=_joined(size, bands, np.int8(NO_BAND)) if bands else None,
            target_length=_joined(size, targets, np.nan) if targets else None,
            ramp_frac=float(np.mean(ramps)) if ramps else None,
        )

    def metrics(self) -> dict[str, float]:
        """Name each method's numbers by its source, e.g. `laser/math/target_length/easy`."""
        return {
            f"laser/{source}/{name.removeprefix('laser/')}": value
            for source, part in self.parts.items()
            for name, value in part.metrics().items()
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the state of each method, its keys numbered in the order of `sources`."""
        state = {"version": STATE_VERSION, "method": self.name, "sources": json.dumps(list(self.parts))}
        for place, part in enumerate(self.parts.values()):
            state |= {f"{place}.{key}": value for key, value in part.state_dict().items()}
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state; the order of the sources may have changed.

        Args:
            state: What `state_dict` returned.

        Raises:
            ValueError: It is another method's or of other data sources, or one of the methods refuses its part.
        """
        check_state_method(state, self.name, {self.name})
        saved = _saved_sources(state.get("sources"))
        if set(saved) != set(self.parts):
            raise ValueError(
                f"the saved state is of the data sources {', '.join(saved)}, per_data_source has "
                f"{', '.join(self.parts)}; set the saved ones again, or delete the file laser_state of that checkpoint "
                "to start the methods afresh"
            )
        for place, source in enumerate(saved):
            own = {key.partition(".")[2]: value for key, value in state.items() if key.startswith(f"{place}.")}
            with self._named(source):
                self.parts[source].load_state_dict(own)

    @contextmanager
    def _named(self, source: str) -> Iterator[None]:
        """Name the data source and its method in whatever goes wrong there."""
        try:
            yield
        except Exception as error:  # a user's method may raise anything
            kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
            where = f"per_data_source.{source}, method {self.parts[source].name}"
            raise ValueError(f"{where}: {kind}{error}") from error


def limits_rollouts(method: Method) -> bool:
    """Whether a method, or one of a mixture's, has limits for rollouts, be it from a later step on only."""
    parts = method.parts.values() if isinstance(method, Mixed) else (method,)
    return any(type(part).rollout_limit is not MethodBase.rollout_limit for part in parts)


def _saved_sources(text: object) -> list[str]:
    try:
        saved = json.loads(text) if isinstance(text, str) else None
    except ValueError:
        saved = None
    if not isinstance(saved, list) or not all(isinstance(source, str) for source in saved):
        raise ValueError(
            f"the saved state is damaged: sources={text!r} must be a list of data sources as JSON; delete the file "
            "laser_state of that checkpoint to start the methods afresh"
        )
    return saved


def _joined(size: int, parts: Sequence[tuple[Bools, NDArray[Any]]], empty: Any) -> NDArray[Any]:
    joined: NDArray[Any] = np.full(size, empty)
    for mask, values in parts:
        joined[mask] = values
    return joined

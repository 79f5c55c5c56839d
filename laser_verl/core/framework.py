"""What a method is, how its options are checked, and where methods are found by name.

Every method shapes rewards as R = C + lambda * S (arXiv 2505.15612, Eq. 2): C what the answer is worth, S what its
length is worth, lambda a gate. Shape letters: B responses.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, is_dataclass
from enum import StrEnum
from typing import Any, ClassVar, Protocol, TypeVar, cast, get_type_hints

import numpy as np
from numpy.typing import NDArray

from laser_verl.core.checks import Floats, unknown
from laser_verl.core.options import Scores, checked_option, option_texts
from laser_verl.core.rollouts import Rollouts

__all__ = [
    "Context",
    "Method",
    "MethodBase",
    "MethodInfo",
    "Need",
    "Scores",
    "Shaped",
    "build",
    "describe",
    "method_names",
    "register",
]


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
        band: `EASY`, `MEDIUM` or `HARD` of the response's group, [B]; None if the method has no bands.
        target_length: Tokens, [B]; None if the method has no targets.
    """

    task_reward: Floats
    length_reward: Floats
    band: NDArray[np.int8] | None = None
    target_length: Floats | None = None

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
    """A reward-shaping rule; per step the caller calls `observe`, then `shape`, with the same batch."""

    @property
    def name(self) -> str:
        """Registered name."""

    @property
    def needs(self) -> frozenset[Need]:
        """What this instance has to see; a method with fixed targets may need less than its class says."""

    def observe(self, rollouts: Rollouts) -> None:
        """Learn from a batch before it is shaped."""

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

    Attributes:
        presets: Options that each value of an option `preset` stands for.
    """

    name: ClassVar[str]
    class_needs: ClassVar[frozenset[Need]]
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {}

    context: Context = field(default_factory=Context, repr=False)

    @property
    def needs(self) -> frozenset[Need]:
        """What this instance has to see."""
        return self.class_needs

    def observe(self, rollouts: Rollouts) -> None:
        """Learn nothing."""

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


@dataclass(frozen=True)
class MethodInfo:
    """A registered method as documentation.

    Attributes:
        name: Registered name.
        needs: What it has to see with default options.
        options: Default of each option, in plain types; None for a required one too.
        meanings: One line on each option.
        required: Options that have no default.
        formula: One line.
        source: Paper and equation.
        summary: One line.
    """

    name: str
    needs: frozenset[Need]
    options: dict[str, Any]
    meanings: dict[str, str]
    required: tuple[str, ...]
    formula: str
    source: str
    summary: str


@dataclass(frozen=True)
class _Entry:
    cls: type[Any]
    formula: str
    source: str


_REGISTRY: dict[str, _Entry] = {}
_M = TypeVar("_M", bound=MethodBase)


def register(name: str, *, needs: Iterable[Need], formula: str, source: str) -> Callable[[type[_M]], type[_M]]:
    """Register a `MethodBase` dataclass under a name.

    Args:
        name: Name that users write.
        needs: What it has to see with default options.
        formula: One line.
        source: Paper and equation.

    Returns:
        A class decorator.

    Raises:
        ValueError: The name is taken.
    """

    def add(cls: type[_M]) -> type[_M]:
        assert is_dataclass(cls), f"{cls.__name__} must be a dataclass: its fields are its options"
        if name in _REGISTRY:
            raise ValueError(f"method {name!r} is already {_REGISTRY[name].cls.__qualname__}; choose another name")
        cls.name, cls.class_needs = name, frozenset(needs)
        _REGISTRY[name] = _Entry(cls, formula, source)
        return cls

    return add


def method_names() -> list[str]:
    """Return the registered names, sorted."""
    return sorted(_REGISTRY)


def describe(name: str) -> MethodInfo:
    """Look a method up.

    Args:
        name: Registered name, e.g. "laser_d".

    Returns:
        Its documentation.

    Raises:
        ValueError: No such method.
    """
    entry = _entry(name)
    options = _options(entry.cls)
    return MethodInfo(
        name=name,
        needs=entry.cls.class_needs,
        options={key: _default(item) for key, item in options.items()},
        meanings=option_texts(entry.cls),
        required=tuple(key for key, item in options.items() if _is_required(item)),
        formula=entry.formula,
        source=entry.source,
        summary=(inspect.getdoc(entry.cls) or "").partition("\n")[0],
    )


def build(name: str, options: Mapping[str, Any] | None = None, context: Context | None = None) -> Method:
    """Make a method from what the user wrote.

    `build("laser", {"target_length": 4096})` is `Laser(target_length=4096)`.

    Args:
        name: Registered name.
        options: Values by option name.
        context: What the run's configuration says; None knows nothing.

    Returns:
        The method.

    Raises:
        ValueError: Unknown method or option (the closest known one is suggested), a missing one, or a wrong value.
    """
    cls, given = _entry(name).cls, dict(options or {})
    known = _options(cls)
    for key in given:
        if key not in known:
            raise ValueError(unknown(f"{name} option", key, known))
    for key, item in known.items():
        if _is_required(item) and key not in given:
            raise ValueError(f"{name} needs the option {key}; its options are {', '.join(known)}")
    hints = get_type_hints(cls)
    given = {key: checked_option(key, value, hints[key]) for key, value in given.items()}
    preset = cls.presets.get(given.get("preset"), {})
    return cast(Method, cls(**{**preset, **given}, context=context or Context()))


def _entry(name: str) -> _Entry:
    if name not in _REGISTRY:
        raise ValueError(unknown("method", name, method_names()))
    return _REGISTRY[name]


def _options(cls: type[Any]) -> dict[str, Field[Any]]:
    return {item.name: item for item in fields(cls) if item.init and item.name != "context"}


def _is_required(item: Field[Any]) -> bool:
    return item.default is MISSING and item.default_factory is MISSING


def _default(item: Field[Any]) -> Any:
    if _is_required(item):
        return None
    value = item.default if item.default_factory is MISSING else item.default_factory()
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


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

"""What users write as options, checked: numbers, texts, mappings, and the scores of an answer.

Shape letters: B responses.
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from numbers import Integral
from typing import Any, Literal, Union, get_args, get_origin

import numpy as np

from laser_verl.core.checks import Floats, finite_number, unknown
from laser_verl.core.rollouts import Rollouts

_PLAIN: dict[Any, tuple[Any, str]] = {
    int: (Integral, "a whole number"),
    bool: (bool, "true or false"),
    str: (str, "a text"),
}

# What a list holds, and an example of one.
_LISTS: dict[Any, tuple[str, list[Any]]] = {
    int: ("whole numbers", [100, 200]),
    float: ("numbers", [100, 200]),
    str: ("texts", ["a", "b"]),
}


@dataclass(frozen=True)
class Scores:
    """What an answer is worth before its length is looked at: C of R = C + lambda * S.

    Source: arXiv 2505.15612, section 2.

    Attributes:
        correct: Right and well formed.
        wrong: Well formed, but not right.
        malformed: Badly formed, right or not.
    """

    correct: float = 1.0
    wrong: float = -0.5
    malformed: float = -1.0

    @classmethod
    def from_mapping(cls, values: object, name: str = "scores", default: Scores | None = None) -> Scores:
        """Make scores from an option; a key left out keeps its default.

        `Scores.from_mapping({"wrong": 0})` is `Scores(1.0, 0.0, -1.0)`.

        Args:
            values: Mapping of correct, wrong, malformed to finite numbers, or a `Scores`.
            name: What the user calls the option.
            default: Where the keys left out are taken from; None takes LASER's.

        Returns:
            The scores.

        Raises:
            ValueError: An unknown key, a value that is not a finite number, or a right answer not worth the most.
        """
        if isinstance(values, Scores):
            return values
        if not isinstance(values, Mapping):
            raise ValueError(f"{name}={values!r} must be a mapping; give e.g. {asdict(default or cls())}")
        known = [item.name for item in fields(cls)]
        for key in values:
            if key not in known:
                raise ValueError(unknown(f"{name} key", key, known))
        given = {key: finite_number(f"{name}.{key}", value) for key, value in values.items()}
        made = replace(default or cls(), **given)
        if made.correct <= max(made.wrong, made.malformed):
            raise ValueError(f"{name}={asdict(made)} must have correct above wrong and malformed; raise correct")
        return made

    def of(self, rollouts: Rollouts) -> Floats:
        """Score each response; a user's own `task_score` takes the place of these scores.

        Args:
            rollouts: The responses.

        Returns:
            C, [B]; with the defaults a right answer in a bad format gets -1.
        """
        scores = np.where(rollouts.solved, self.correct, np.where(rollouts.well_formed, self.wrong, self.malformed))
        return rollouts.own_scores_or(scores)


def zero_one() -> Scores:
    """Return the scores of methods that pay 1 for a right answer and nothing else."""
    return Scores(correct=1.0, wrong=0.0, malformed=0.0)


def plus_minus_one() -> Scores:
    """Return the scores of methods that pay 1 for a right answer and take 1 for any other."""
    return Scores(correct=1.0, wrong=-1.0, malformed=-1.0)


def check_ramp(ramp: tuple[int, int] | None) -> None:
    """Raise ValueError unless a ramp's two steps follow each other."""
    if ramp is not None and not 0 <= ramp[0] < ramp[1]:
        raise ValueError(
            f"ramp={list(ramp)} must be two steps of 0 or more, the first before the last; give e.g. [0, 100]"
        )


def option_texts(cls: type[Any]) -> dict[str, str]:
    """What the options of a method mean: the `Attributes` of its docstring, and of the classes it builds on.

    Args:
        cls: A method's class.

    Returns:
        Text by option, in one line: of LASER-D, `{"alpha": "Bonus, 0 or more.", ...}`.
    """
    texts: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        listed = inspect.cleandoc(base.__doc__ or "").partition("Attributes:\n")[2]
        for block in re.split(r"\n    (?! )", f"\n{listed}")[1:]:
            name, _, text = " ".join(block.split()).partition(": ")
            texts[name] = text
    return texts


def checked_option(name: str, value: Any, hint: Any, default: Any = None) -> Any:
    """Check an option against its field's type.

    Args:
        name: Option.
        value: What the user gave.
        hint: int, float, str, bool, Literal, `Scores`, Mapping, a tuple or list of ints, floats or texts, or one of
            these or None; `int | float` is float.
        default: The field's default, from which scores left out are taken, and examples.

    Returns:
        The value in that type.

    Raises:
        ValueError: It is of another type.
        TypeError: The field's type is none that options can have.
    """
    kinds = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    if value is None and type(None) in kinds:
        return None
    kind = _kind(name, hint, [kind for kind in kinds if kind is not type(None)])
    null = " or null" if type(None) in kinds else ""
    if kind is Scores:
        return Scores.from_mapping(value, name, default)
    if kind is float:
        return finite_number(name, value, default if isinstance(default, float) else 0.5)
    if get_origin(kind) is tuple:
        return _checked_list(name, value, get_args(kind), default)
    if get_origin(kind) is list:
        return list(_checked_list(name, value, (*get_args(kind), Ellipsis), default))
    if get_origin(kind) is Literal:
        if str(value) in map(str, get_args(kind)) and value not in get_args(kind):
            wanted = ", ".join(map(str, get_args(kind)))
            raise ValueError(f"{name}={value!r} must be one of {wanted}; it is of type {type(value).__name__}")
        if not any(value == known and type(value) is type(known) for known in get_args(kind)):
            raise ValueError(unknown(name, value, (*get_args(kind), *["null"] * bool(null))))
        return value
    expected, words = _PLAIN.get(kind, (Mapping, "a mapping"))
    if not isinstance(value, expected) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{name}={value!r} must be {words}{null}; it is of type {type(value).__name__}")
    made: Any = kind if kind in _PLAIN else dict
    return made(value)


def _kind(name: str, hint: Any, kinds: list[Any]) -> Any:
    """The one type of an option that is not None; TypeError for what no user could write."""
    if set(kinds) == {int, float}:
        return float
    kind = kinds[0]
    is_plain = kind in (*_PLAIN, float, Scores)
    is_mapping = kind in (Mapping, dict) or get_origin(kind) in (Mapping, dict)
    is_list = get_origin(kind) in (tuple, list) and set(get_args(kind)) - {Ellipsis} <= {int, float, str}
    if len(kinds) != 1 or not (is_plain or is_mapping or is_list or get_origin(kind) is Literal):
        raise TypeError(
            f"{name} is declared as {hint}, which no option can be; declare int, float, bool, str, Literal, Scores, "
            "Mapping, a tuple or list of int, float or str, or one of these or None"
        )
    return kind


def _checked_list(name: str, value: Any, kinds: tuple[Any, ...], default: Any) -> tuple[Any, ...]:
    size = None if kinds[-1] is Ellipsis else len(kinds)
    if not isinstance(value, list | tuple) or not value or (size is not None and len(value) != size):
        what, example = _LISTS[kinds[0]]
        example = list(default or example)
        raise ValueError(f"{name}={value!r} must be a list of {size or 'one or more'} {what}; give e.g. {example}")
    return tuple(checked_option(f"{name}[{place}]", item, kinds[0]) for place, item in enumerate(value))

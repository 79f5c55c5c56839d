"""Checks of what users and recorded files give, and the wording of their errors.

Shape letters: B responses (rows), G groups.
"""

from __future__ import annotations

import difflib
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import count
from numbers import Integral, Real
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
AnyArray = TypeVar("AnyArray", bound=NDArray[Any])

_LARGEST_EXACT_FLOAT = 2**53

# No option is meant beyond these, and sums of them stay exact.
_LARGEST_COUNT = 10**9
_LARGEST_NUMBER = 1e9


def positive_int(name: str, value: object, what: str, example: int) -> int:
    """Return `value` as an int, or explain why it is not a positive whole number.

    Args:
        name: What the user calls the field.
        value: What the user gave.
        what: The rule's noun, e.g. "number of tokens".
        example: A value that would have been fine.

    Returns:
        The value, 1 or more.

    Raises:
        ValueError: `value` is a bool, not a whole number, below 1 or above 10^9; `positive_int("window", 0, "number of
            groups", 500)` raises "window=0 must be a positive number of groups; give e.g. 500".
    """
    number = 0 if isinstance(value, bool) or not isinstance(value, Integral) else int(value)
    if number < 1:
        raise ValueError(f"{name}={value!r} must be a positive {what}; give e.g. {example}")
    if number > _LARGEST_COUNT:
        raise ValueError(f"{name}={value!r:.40} must be a {what} of at most {_LARGEST_COUNT}; give e.g. {example}")
    return number


def step_number(value: object) -> int:
    """Return a training step as an int; anything but a whole number of 0 or more raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 0:
        raise ValueError(f"step={value!r} must be a whole number, 0 or more; give the trainer's global step")
    return int(value)


def non_negative(name: str, value: float, example: float = 0.5) -> float:
    """Return a finite number of 0 or more; anything else raises ValueError."""
    if finite_number(name, value, example) < 0:
        raise ValueError(f"{name}={value!r} must be 0 or more; give e.g. {example}")
    return float(value)


def check_reachable(option: str, tokens: int, longest: int | None) -> None:
    """Raise ValueError if a target length is above the longest response; `longest` None allows any."""
    if longest is not None and tokens > longest:
        raise ValueError(
            f"{option}={tokens} is above max_response_length={longest}, which no response passes; give at most "
            f"{longest}, or raise data.max_response_length"
        )


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """Word the error for a name that is not known: `unknown method 'lazer'; did you mean 'laser'? Known: ...`."""
    names = [str(item) for item in known]
    close = difflib.get_close_matches(str(name).lower(), names, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"unknown {kind} {name!r}; {hint}known: {', '.join(names)}"


def finite_number(name: str, value: object, example: float = 0.5) -> float:
    """Return a number as float; a bool, text, NaN, or one beyond 10^9 on either side raises ValueError."""
    number = _as_float(value)
    if not abs(number) <= _LARGEST_NUMBER:
        text = ", not a text" if isinstance(value, str) else ""
        raise ValueError(
            f"{name}={value!r:.40} must be a finite number{text}, at most 1e9 in size; give e.g. {example}"
        )
    return number


def _as_float(value: object) -> float:
    """Return NaN for what is no number, and infinity for an integer that no float can hold."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf


def frozen(values: AnyArray) -> AnyArray:
    """Make an array read-only."""
    values.flags.writeable = False
    return values


def _array(name: str, values: ArrayLike | None) -> NDArray[Any]:
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "biufO":
            # numpy makes texts of all values if one is a text; only the values as given tell which row it was.
            array = np.asarray(values, dtype=object)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{name} must hold one value per response; got {type(values).__name__}: {error}") from error
    if array.ndim != 1:
        raise ValueError(f"{name} has shape {array.shape}; give one value per response, shape [B]")
    return array


def same_size(name: str, got: int, size: int) -> None:
    """Raise ValueError unless a field has one value per response."""
    if got != size:
        raise ValueError(f"{name} has {got} rows but response_length has {size}; give one value per response")


def _numbers(name: str, values: ArrayLike, rule: str) -> NDArray[Any]:
    """Return integers or floats; bools, text and None are named with their row."""
    array = _array(name, values)
    if array.dtype.kind in "iuf" or not len(array):
        return array
    for row, value in enumerate(array.tolist()):
        if not math.isfinite(_as_float(value)):
            raise ValueError(f"{name}[{row}]={value!r:.40} must be {rule}; check that row")
    return array.astype(np.float64)


def _reject(name: str, array: NDArray[Any], bad: Bools, rule: str) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(f"{name}[{row}]={array[row : row + 1].tolist()[0]!r} must be {rule}; check that row")


def whole_lengths(values: ArrayLike) -> Ints:
    """Return token counts, [B]; NaN, infinity, fractions and negative ones are named with their row."""
    rule = "a whole number of tokens, 0 or more"
    array = _numbers("response_length", values, rule)
    if array.dtype.kind == "f":
        real = array.astype(np.float64)
        with np.errstate(invalid="ignore"):
            whole = (real >= 0) & (real <= _LARGEST_EXACT_FLOAT) & (np.floor(real) == real)
        _reject("response_length", array, ~whole, rule)
    length = array.astype(np.int64)
    _reject("response_length", array, length < 0, rule)
    return length


def flags(name: str, values: ArrayLike | None, size: int, default: bool | None = None) -> Bools:
    """Return booleans, [B]; `default` stands in for None, and values other than 0 and 1 are named with their row."""
    if values is None and default is not None:
        return frozen(np.full(size, default))
    array = _array(name, values)
    same_size(name, len(array), size)
    if array.dtype.kind != "b":
        rule = "true or false (1 or 0)"
        if array.dtype.kind not in "iuf":
            known = [isinstance(value, Real | np.bool_) and value in (0, 1) for value in array.tolist()]
            _reject(name, array, ~np.array(known, dtype=np.bool_), rule)
        else:
            _reject(name, array, ~((array == 0) | (array == 1)), rule)
    return frozen(array.astype(np.bool_))


def own_scores(values: ArrayLike, size: int) -> Floats:
    """Return scores, [B], NaN where there is none; infinite ones are named with their row."""
    rule = "a finite number"
    given = [np.nan if value is None else value for value in values] if isinstance(values, list) else values
    array = np.asarray(given)
    if array.dtype.kind not in "iuf":
        array = _numbers("task_score", given, rule)
    same_size("task_score", len(array), size)
    score = array.astype(np.float64)
    _reject("task_score", score, np.isinf(score), rule)
    return frozen(score)


def column_numbers(name: str, values: NDArray[Any], size: int, empty: float | None) -> Floats:
    """Return a column's numbers of 0 or more, [B]; `empty` stands in for None and NaN, unless it is None."""
    rule = "a number of 0 or more"
    if values.dtype.kind == "O":
        values = np.array([np.nan if value is None else value for value in values.tolist()], dtype=object)
        known = [isinstance(value, Real) and not isinstance(value, bool) for value in values.tolist()]
        _reject(name, values, ~np.array(known, dtype=np.bool_), rule)
    if values.ndim != 1 or values.dtype.kind not in "iufO":
        raise ValueError(f"column {name} must hold {rule} for each response; it holds {values.dtype} {values.shape}")
    numbers: Floats = values.astype(np.float64)
    is_missing = np.isnan(numbers)
    if empty is None:
        _reject(name, numbers, is_missing, rule)
    _reject(name, numbers, (numbers < 0) | np.isinf(numbers), rule)
    return np.where(is_missing, 0.0 if empty is None else empty, numbers)


def column(name: str, values: ArrayLike, size: int) -> NDArray[Any]:
    """Return a further column as it is, [B, ...]."""
    try:
        array: NDArray[Any] = np.array(values)
    except ValueError as error:
        raise ValueError(f"column {name!r} is ragged; give rows of equal width, one per response") from error
    same_size(f"column {name!r}", len(array) if array.ndim else 0, size)
    return frozen(array)


def group_numbers(prompt: Iterable[object]) -> Ints:
    """Number the prompts in order of first appearance, [B]."""
    if isinstance(prompt, np.ndarray):
        if prompt.ndim != 1:
            raise ValueError(f"prompt has shape {prompt.shape}; give one id per response, shape [B]")
        if prompt.dtype.kind in "iu":
            return first_appearance(prompt)
        prompt = prompt.tolist()
    if isinstance(prompt, str):
        raise ValueError(f"prompt={prompt!r} is one text; give one id per response, e.g. ['a', 'a', 'b']")
    return _number_ids(prompt if isinstance(prompt, Sequence) else list(prompt))


def first_rows(group: Ints) -> Ints:
    """Return the row in which each group appears first, [G], of groups numbered in that order."""
    is_first = np.ones(len(group), dtype=np.bool_)
    is_first[1:] = group[1:] > np.maximum.accumulate(group)[:-1]
    return np.flatnonzero(is_first)


def prompt_keys(group: Ints, prompt: Sequence[Any] | NDArray[Any], keys: Sequence[Any] | None) -> tuple[str, ...]:
    """Return each group's key as text, [G]; `keys` [B] name their row where missing or not those of their group."""
    first = first_rows(group).tolist()
    if keys is None:
        return tuple(str(prompt[row]) for row in first)
    same_size("prompt_key", len(keys), len(group))
    for row, (key, number) in enumerate(zip(keys, group.tolist(), strict=True)):
        if key is None or key != keys[first[number]]:
            raise ValueError(
                f"prompt_key[{row}]={key!r} must be a text, the same for all responses to a prompt; check that row"
            )
    return tuple(str(keys[row]) for row in first)


def _number_ids(ids: Sequence[object]) -> Ints:
    # A new id gets the next number; one pass in C, where a loop would take most of the time of a large batch.
    number: defaultdict[object, int] = defaultdict(count().__next__)
    try:
        group = np.fromiter(map(number.__getitem__, ids), dtype=np.int64, count=len(ids))
    except TypeError as error:
        row = next(row for row, key in enumerate(ids) if not _is_hashable(key))
        raise ValueError(f"prompt[{row}]={ids[row]!r} cannot be an id; give a text or a number") from error
    if any(map(_is_missing, number)):
        row = next(row for row, key in enumerate(ids) if _is_missing(key))
        raise ValueError(f"prompt[{row}]={ids[row]!r} is no id; give every response the id of its prompt")
    return group


def _is_missing(key: object) -> bool:
    return key is None or key != key


def _is_hashable(key: object) -> bool:
    try:
        hash(key)
    except TypeError:
        return False
    return True


def first_appearance(ids: NDArray[Any]) -> Ints:
    """Number integer ids in order of first appearance, in linear time where the ids are dense."""
    size = len(ids)
    if not size:
        return np.zeros(0, dtype=np.int64)
    low = int(ids.min())
    span = int(ids.max()) - low + 1
    if span > 4 * size + 1024 or ids.dtype.kind == "u":
        dense = np.unique(ids, return_inverse=True)[1].astype(np.int64)
        span = int(dense.max()) + 1
    else:
        dense = ids.astype(np.int64) - low
    rows = np.arange(size)
    first = np.zeros(span, dtype=np.int64)
    # The last of several writes to one place wins, so writing backwards leaves the first row.
    first[dense[::-1]] = rows[::-1]
    first_of_row = first[dense]
    number: Ints = np.cumsum(first_of_row == rows) - 1
    return number[first_of_row]

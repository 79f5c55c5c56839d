"""A method's answer, checked before anything is trained on it.

Shape letters: B responses, G groups.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from laser_verl.core.bands import BANDS, NO_BAND
from laser_verl.core.framework import Method, Shaped
from laser_verl.core.rollouts import Rollouts

_LARGEST_REWARD = float(np.finfo(np.float32).max)


def shape(method: Method, rollouts: Rollouts, names: Callable[[], Sequence[str]] | None = None) -> Shaped:
    """Let a method learn from a batch and shape it, and check what it returns.

    Args:
        method: Any method, a user's own too.
        rollouts: Whole groups.
        names: Returns what an error calls each group, [G]; None takes the keys of their prompts.

    Returns:
        The rewards, all of them finite.

    Raises:
        RuntimeError: The method raised, or returned what no run can be trained on. It names the method and the first
            group that it fails on by itself, or says that it is the batch as a whole; its cause is the method's error.
    """
    try:
        return _attempt(method, rollouts)
    except Exception as error:  # a user's method may raise anything
        called = rollouts.prompt_key if names is None else names()
        raise RuntimeError(f"laser_verl: method {method.name} {_explain(method, rollouts, called, error)}") from error


@contextmanager
def naming(method: Method, call: str) -> Iterator[None]:
    """Name a method and its call in whatever goes wrong there.

    Args:
        method: Any method, a user's own too.
        call: What is called, e.g. "state_dict".

    Yields:
        Nothing.

    Raises:
        ValueError: It raised; the cause is its own error.
    """
    try:
        yield
    except Exception as error:  # a user's method may raise anything
        raise ValueError(f"laser_verl: method {method.name}, {call}: {_text(error)}") from error


def checked(shaped: object, size: int) -> Shaped:
    """Check what a method returned.

    Args:
        shaped: The return value of its `shape`.
        size: Responses of the batch, B.

    Returns:
        The same value.

    Raises:
        ValueError: It is no `Shaped`, or one of its arrays is not [B], or holds what is no finite number, or a reward
            is beyond a float32.
    """
    if not isinstance(shaped, Shaped):
        raise ValueError(f"shape returned a {type(shaped).__name__}; return a Shaped(task_reward, length_reward)")
    _check_array("task_reward", shaped.task_reward, size)
    _check_array("length_reward", shaped.length_reward, size)
    _check_sum(shaped)
    if shaped.target_length is not None:
        _check_array("target_length", shaped.target_length, size, may_miss=True)
    if shaped.band is not None:
        _check_array("band", shaped.band, size)
        if not np.isin(shaped.band, [*range(len(BANDS)), NO_BAND]).all():
            raise ValueError("band holds another number than EASY, MEDIUM, HARD and NO_BAND; take it from band_of")
    return shaped


def _attempt(method: Method, rollouts: Rollouts) -> Shaped:
    method.observe(rollouts)
    return checked(method.shape(rollouts), rollouts.size)


def _check_sum(shaped: Shaped) -> None:
    with np.errstate(over="ignore"):
        reward = shaped.reward
    is_beyond = np.abs(reward) > _LARGEST_REWARD
    if is_beyond.any():
        row = int(np.argmax(is_beyond))
        raise ValueError(
            f"task_reward[{row}] + length_reward[{row}]={reward[row]} must be at most {_LARGEST_REWARD:.2g} in size, "
            "the largest number of the float32 that verl trains on; mend the method"
        )


def _check_array(name: str, values: object, size: int, may_miss: bool = False) -> None:
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "iuf":
        what = f"an array of {values.dtype}" if isinstance(values, np.ndarray) else f"a {type(values).__name__}"
        raise ValueError(f"{name} is {what}; return a numpy array with one number per response")
    if values.shape != (size,):
        raise ValueError(f"{name} has shape {values.shape}, the batch has {size} responses; return one number for each")
    is_bad = np.isinf(values) if may_miss else ~np.isfinite(values)
    if is_bad.any():
        row = int(np.argmax(is_bad))
        rule = "a finite number, or NaN where a response has none" if may_miss else "a finite number"
        raise ValueError(f"{name}[{row}]={values[row]} must be {rule}; mend the method")


def _explain(method: Method, rollouts: Rollouts, names: Sequence[str], error: Exception) -> str:
    for group in range(rollouts.num_groups):
        try:
            # the search leaves the method as it is
            own = copy.deepcopy(method)
        except Exception:
            return (
                f"fails on the batch, of which group cannot be told, since the method cannot be copied: {_text(error)}"
            )
        try:
            _attempt(own, rollouts.select(rollouts.group == group))
        except Exception as alone:
            # another kind of error comes from looking at the group without the rest of its batch
            if type(alone) is type(error):
                return f"fails on the group {names[group]!r}: {_text(alone)}"
    return f"fails on the batch as a whole, on no group of it by itself: {_text(error)}"


def _text(error: Exception) -> str:
    """The message; of a ValueError, which says what is wrong, without its class."""
    return str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"

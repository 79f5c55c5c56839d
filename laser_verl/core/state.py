"""The file ``laser_state``: everything that has to survive a restart, as arrays and plain values, never pickled."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

NAME = "laser_state"
VERSION = 1
_JSON = "__json__"


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write a nested mapping of arrays and plain values in one atomic step.

    Args:
        path: the file; its folder exists. A reader sees the old file or the new one, never half of either.
        state: string keys; values are numpy arrays, mappings, or what JSON carries.

    Raises:
        ValueError: it holds something else.
    """
    arrays = pack(state)
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def pack(state: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """What a nested mapping is in the file.

    Args:
        state: string keys; values are numpy arrays, mappings, or what JSON carries.

    Returns:
        Arrays by name: ``{"method": {"seen": array}}`` becomes ``method/seen``, and all that is no array one text.

    Raises:
        ValueError: a key or a value that the file cannot hold; the message names it.
    """
    arrays: dict[str, np.ndarray] = {}
    plain: dict[str, Any] = {"version": VERSION}
    _flatten(state, (), arrays, plain)
    arrays[_JSON] = np.frombuffer(json.dumps(plain).encode(), dtype=np.uint8)
    return arrays


def load_state(path: Path) -> dict[str, Any]:
    """Read what :func:`save_state` wrote.

    Args:
        path: the file.

    Returns:
        The nested mapping.

    Raises:
        ValueError: the file is damaged or of another version.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        plain = json.loads(arrays.pop(_JSON).tobytes())
    except Exception as error:
        raise ValueError(
            f"laser_verl: {path} is no readable laser_state ({error}); resume from another global_step folder, "
            "or delete this file to start the targets afresh"
        ) from error
    if plain.pop("version", None) != VERSION:
        raise ValueError(
            f"laser_verl: {path} has another version than {VERSION}; resume with the laser_verl of its run"
        )
    state: dict[str, Any] = {}
    for name, value in (plain | arrays).items():
        node = state
        *parents, last = name.split("/")
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    return state


def compare_fingerprints(saved: Mapping[str, Any], current: Mapping[str, Any], path: Path) -> None:
    """Refuse a state that belongs to another run.

    A key that only one of the two has is not compared: earlier releases had fewer, and not every data set tells all.

    Args:
        saved: the fingerprint in the file.
        current: that of this run.
        path: the file, for the message.

    Raises:
        ValueError: they differ; the message names each difference and how to go on.
    """
    keys = sorted(set(saved) & set(current))
    differences = [f"{key} was {saved[key]!r}, is {current[key]!r}" for key in keys if saved[key] != current[key]]
    if differences:
        raise ValueError(
            f"laser_verl: {path} belongs to another run: {'; '.join(differences)}. Set these back to resume, "
            "or delete the file to keep the weights and start the targets afresh"
        )


def _flatten(
    node: Mapping[str, Any], parents: tuple[str, ...], arrays: dict[str, np.ndarray], plain: dict[str, Any]
) -> None:
    for key, value in node.items():
        if not isinstance(key, str) or "/" in key:
            place = f" in {'.'.join(parents)}" if parents else ""
            better = str(key).replace("/", ".")
            raise ValueError(f"state key {key!r}{place} must be a text without a slash; rename it, e.g. {better!r}")
        name = "/".join((*parents, key))
        if isinstance(value, Mapping):
            _flatten(value, (*parents, key), arrays, plain)
        elif isinstance(value, np.ndarray):
            _check_array(name, value)
            arrays[name] = value
        else:
            _check_plain(name, value)
            plain[name] = value


def _check_array(name: str, value: np.ndarray) -> None:
    if value.dtype.hasobject:
        raise ValueError(
            f"state entry {name.replace('/', '.')} is an array of {value.dtype}; give one of numbers or texts, e.g. "
            "np.array(values, dtype=np.str_)"
        )


def _check_plain(name: str, value: Any) -> None:
    try:
        json.dumps(value)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"state entry {name.replace('/', '.')}={value!r:.60} must be a numpy array or what JSON carries ({error}); "
            "give int(x), float(x), list(x) or np.asarray(x)"
        ) from error

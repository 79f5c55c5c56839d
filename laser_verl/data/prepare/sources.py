"""Where rows come from: files, a folder of them, a data set on the hub, or problems that are made here."""

from __future__ import annotations

import fnmatch
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from laser_verl.commands import BadInput, WrongUsage
from laser_verl.core.checks import unknown
from laser_verl.data import tiny_world
from laser_verl.data.hub import fetch
from laser_verl.data.prepare import gym
from laser_verl.data.prepare.layouts import Layout, closest
from laser_verl.data.prepare.plan import GYM, TABLE, Plan
from laser_verl.data.prepare.reading import SUFFIXES, read_rows

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_PART = re.compile(r"(.*)-[0-9]+-of-([0-9]+)(\.\w+)")


@dataclass(frozen=True)
class Input:
    """A file of rows.

    Attributes:
        path: Where it lies.
        name: What it is called in the data card: its path within the folder that was given, or its own name.
    """

    path: Path
    name: str


def find_inputs(plan: Plan) -> list[Input]:
    """The files that a plan reads, none where it makes its problems.

    Args:
        plan: The plan.

    Returns:
        Files in the order in which they are read.

    Raises:
        BadInput: If there is no such file, the folder holds none, or the hub cannot be reached.
    """
    if plan.is_made:
        return []
    return [found for name in plan.request.inputs for found in _find(name, plan.layout)]


def _find(name: str, layout: Layout) -> list[Input]:
    path = Path(os.path.expanduser(name))
    if os.path.isfile(path):  # unlike that of pathlib no error for a name that is too long
        return [Input(path, path.name)]
    if os.path.isdir(path):
        return _in_folder(path, name, layout)
    if not _HUB_NAME.fullmatch(name) or path.suffix in SUFFIXES or os.path.isdir(path.parent):
        raise BadInput(f"{name} is no file or folder; give one, or a name on the hub{_such_as(layout)}")
    return _in_folder(_fetch(name, layout), name, layout)


def _such_as(layout: Layout) -> str:
    return f" such as {layout.hub}" if layout.hub else ""


def _in_folder(folder: Path, name: str, layout: Layout) -> list[Input]:
    files = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.suffix in SUFFIXES and path.is_file() and not path.name.startswith(".")
    }
    fitting = {file for file in files if any(fnmatch.fnmatch(file, pattern) for pattern in layout.files)}
    if not files:
        raise BadInput(f"{name} holds no file that ends in {', '.join(SUFFIXES)}; give the folder of the data")
    _refuse_gaps(name, fitting or files)
    return [Input(path, file) for file, path in files.items() if file in fitting or not fitting]


def _refuse_gaps(name: str, files: Iterable[str]) -> None:
    """Refuse what an interrupted download leaves: of `train-00000-of-00010.parquet` and its like not all ten."""
    found = Counter(match.groups() for file in files if (match := _PART.fullmatch(file)))
    for (stem, total, suffix), number in found.items():
        if number < int(total):
            raise BadInput(
                f"{name} holds {number} of the {int(total)} files {stem}-*-of-{total}{suffix}; fetch the others, or "
                "name the files that are to be read"
            )


def _fetch(name: str, layout: Layout) -> Path:
    patterns = layout.files or tuple(f"*{suffix}" for suffix in SUFFIXES)
    return fetch(name, patterns, is_dataset=True, asked=f"{name} is no file or folder, and")


def read_inputs(plan: Plan, inputs: Sequence[Input]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a plan.

    Args:
        plan: The plan.
        inputs: Its files.

    Yields:
        (what names the row in a message, the row as it stands in the file).

    Raises:
        BadInput: If a file is damaged, empty, or of another layout.
    """
    if plan.is_made:
        for number, row in enumerate(_made(plan)):
            yield f"problem {number}", row
    for one in inputs:
        first = next(read_rows(one.path))
        _refuse_layout(one, plan.layout, first)
        columns = {name for name in first for path in plan.layout.columns if f"{path}.".startswith(f"{name}.")}
        for number, row in enumerate(read_rows(one.path, columns)):
            yield f"{one.path} row {number}", row


def _refuse_layout(one: Input, layout: Layout, row: Mapping[str, Any]) -> None:
    missing = layout.missing(row)
    if not missing:
        return
    lacking = " and no ".join(missing)
    text = f"{one.path} has no {lacking}, which the layout {layout.name} needs; it has {', '.join(row)}"
    other = closest(row)
    if layout.name == TABLE:
        raise BadInput(f"{text}: {unknown('column', missing[0], row)}; correct --columns")
    if other is not None:
        raise BadInput(f"{text}, as the layout {other.name}: laser-verl prepare {other.name} {one.path} --to FOLDER")
    raise BadInput(
        f"{text}; say which column has what: laser-verl prepare table {one.path} --columns problem=COLUMN,gold=COLUMN "
        "--to FOLDER"
    )


def _made(plan: Plan) -> Iterator[dict[str, Any]]:
    request = plan.request
    if request.source == GYM:
        return _of_gym(plan)
    per_difficulty, seed = plan.rows // len(tiny_world.DIFFICULTIES), request.seed
    try:
        problems = tiny_world.make_problems(per_difficulty, seed)
    except ValueError as error:
        raise WrongUsage(f"--rows {plan.rows}: {error}") from error
    return (
        {
            "problem": problem.question,
            "gold": problem.answer,
            "data_source": f"tiny_world/{problem.difficulty}",
            "difficulty": problem.difficulty,
        }
        for problem in problems
    )


def _of_gym(plan: Plan) -> Iterator[dict[str, Any]]:
    for task in plan.request.inputs:
        gym.check_task(task, plan.parameters)
    for task in plan.request.inputs:
        yield from gym.gym_rows(task, plan.parameters, plan.request.seed, plan.rows)

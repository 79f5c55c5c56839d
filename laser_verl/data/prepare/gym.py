"""Problems of reasoning-gym, the library of procedural tasks, as rows.

Run as a script it writes them: some tasks follow the order of Python's sets, so that only a process with a fixed
`PYTHONHASHSEED` makes the same problems again.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

from laser_verl.commands import BadInput, WrongUsage
from laser_verl.core.checks import unknown
from laser_verl.scoring.gym_verifiers import gold_of, missing_library

_OWN = ("seed", "size")

# Of tasks that mix others; a run for each of them does the same.
_MIXTURE = "composite"


def check_task(task: str, parameters: Mapping[str, Any]) -> None:
    """Refuse what the library would not make.

    Args:
        task: Name of a task.
        parameters: Fields of its configuration.

    Raises:
        WrongUsage: If the library is missing or of another release, or a name or value is wrong.
    """
    if problem := missing_library():
        raise WrongUsage(f"the source reasoning_gym {problem}")
    known = importlib.import_module("reasoning_gym.factory").DATASETS
    names = sorted(known.keys() - {_MIXTURE})
    if task not in names:
        raise WrongUsage(unknown("task", task, names))
    fields = [field.name for field in dataclasses.fields(known[task][1]) if field.name not in _OWN]
    own = [name for name in _OWN if name in parameters]
    if own:
        raise WrongUsage(f"--parameters: {own[0]} is set by {'--seed' if own[0] == 'seed' else '--rows'}; leave it out")
    for name in parameters:
        if name not in fields:
            raise WrongUsage(f"--parameters: {unknown('parameter', name, fields)}")
    try:
        known[task][1](**parameters).validate()
    except Exception as error:  # the library asserts
        said = str(error) or type(error).__name__
        raise WrongUsage(f"--parameters {json.dumps(dict(parameters))} of {task}: {said:.300}; correct them") from error


def gym_rows(task: str, parameters: Mapping[str, Any], seed: int, number: int) -> Iterator[dict[str, str]]:
    """Make problems.

    Args:
        task: Name of a task.
        parameters: Fields of its configuration.
        seed: Of the problems.
        number: How many.

    Yields:
        Rows with `problem`, `gold` and `data_source`, the same for the same arguments.

    Raises:
        BadInput: If the library fails on the way.
    """
    arguments = [task, json.dumps(dict(parameters)), str(seed), str(number)]
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as errors,
        subprocess.Popen(
            [sys.executable, "-m", __name__, *arguments],
            env={**os.environ, "PYTHONHASHSEED": "0"},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            encoding="utf-8",
        ) as process,
    ):
        assert process.stdout is not None
        try:
            # a process that was killed leaves half a line
            yield from (json.loads(line) for line in process.stdout if line.endswith("\n"))
            code = process.wait()
        finally:
            process.kill()
        if code:
            errors.seek(0)
            said = errors.read().strip().rpartition("\n")[2] or f"exit code {code}"
            raise BadInput(f"reasoning_gym {task}: the library fails ({said:.300}); try other --parameters")


def main(task: str, parameters: str, seed: str, number: str) -> None:
    """Write problems to standard output, one JSON object a line."""
    values = json.loads(parameters)
    library = importlib.import_module("reasoning_gym")
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as output:
        os.dup2(2, 1)  # what the library prints is no problem
        problems = library.create_dataset(task, **values, seed=int(seed), size=int(number))
        for index in range(int(number)):
            entry = problems[index]
            gold = gold_of(task, values, entry)
            row = {"problem": entry["question"], "gold": gold, "data_source": f"reasoning_gym/{task}"}
            output.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""What a quickstart was asked to do, where its files are, and where a run in the same folder stands."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import psutil

from laser_verl.commands import BadInput, WrongUsage
from laser_verl.core.framework import Need
from laser_verl.core.registry import MethodInfo, describe

SETTINGS_FILE = "quickstart.json"
STEPS_OF_THE_WORLD = 70
STEPS_OF_OWN_MODEL = 10
MOST_NODES = 2

# beside the interpreter, which is often not on the PATH
_PROGRAM = str(Path(sys.executable).with_name("laser-verl"))


class Stage(StrEnum):
    """Where the run in a folder stands."""

    FRESH = "fresh"
    RESUME = "resume"
    EVALUATE = "evaluate"
    FINISHED = "finished"


@dataclass(frozen=True)
class Plan:
    """One quickstart.

    Attributes:
        out: Folder of everything the run writes; absolute.
        method: Registry name of the method.
        steps: Training steps, 1 or more.
        seed: Seed of the training problems, of their order and of the sampling.
        nodes: Ray nodes, 1 or 2, all on this machine; each holds one worker.
        model: The reader's own checkpoint, or None for the tiny reasoner.
        data: The reader's own verl parquet, or None for the problems of the miniature world.
    """

    out: Path
    method: str = "laser_d"
    steps: int = STEPS_OF_THE_WORLD
    seed: int = 1
    nodes: int = 1
    model: Path | None = None
    data: Path | None = None

    @property
    def is_own(self) -> bool:
        """Whether the reader's own model is trained."""
        return self.model is not None

    @property
    def base(self) -> Path:
        """Folder of the model before training."""
        return self.model or self.out / "base"

    @property
    def train_file(self) -> Path:
        """Problems to train on."""
        return self.out / "train.parquet"

    @property
    def held_out_file(self) -> Path:
        """Problems to evaluate on."""
        return self.out / "held_out.parquet"

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints that verl saves."""
        return self.out / "checkpoints"

    @property
    def metrics(self) -> Path:
        """Folder of the metrics, one file per start: verl empties the file that it opens."""
        return self.out / "metrics"

    @property
    def log(self) -> Path:
        """Everything that the training command prints."""
        return self.out / "train.log"

    def answers(self, step: int) -> Path:
        """The evaluation at a step, one line per response."""
        return self.out / "evaluation" / f"{step}.jsonl"

    def is_evaluated(self, step: int) -> bool:
        """Whether the evaluation at a step is there, and not cut off as by a full disk."""
        path = self.answers(step)
        return path.exists() and path.read_bytes().endswith(b"\n")

    def settings(self) -> dict[str, Any]:
        """What has to be the same for a run to go on."""
        settings: dict[str, Any] = {"method": self.method, "steps": self.steps, "seed": self.seed, "nodes": self.nodes}
        return settings | {
            "model": None if self.model is None else str(self.model),
            "data": None if self.data is None else str(self.data),
        }

    @property
    def anew(self) -> str:
        """What to do about files that are beyond repair."""
        return f"delete {self.out} and start again"

    def command(self) -> str:
        """The command line that starts, continues or shows this quickstart, from any folder."""
        defaults = Plan(self.out, steps=STEPS_OF_OWN_MODEL if self.is_own else STEPS_OF_THE_WORLD).settings()
        given = {name: value for name, value in self.settings().items() if value != defaults[name]}
        options = "".join(f" --{name} {shlex.quote(str(value))}" for name, value in given.items())
        return f"{shlex.quote(_PROGRAM)} quickstart --out {shlex.quote(str(self.out))}{options}"


def make_plan(
    out: Path,
    method: str,
    steps: int | None,
    seed: int,
    nodes: int,
    model: Path | None,
    data: Path | None,
) -> Plan:
    """Check the options of the command line.

    Args:
        out: Folder for the run.
        method: Registry name of a method.
        steps: Training steps; None means the default.
        seed: Any integer from 0.
        nodes: Ray nodes, 1 or 2.
        model: The reader's own checkpoint folder, given together with `data`.
        data: The reader's own parquet file.

    Returns:
        The plan, with absolute paths.

    Raises:
        WrongUsage: If an option is out of range or a path is not there; it names the remedy.
    """
    try:
        info = describe(method)
    except (KeyError, ValueError) as error:
        raise WrongUsage(f"--method: {error.args[0]}") from error
    if missing := _beyond_the_quickstart(info):
        raise WrongUsage(f"--method {method} needs {missing}, which the quickstart does not have; train it by main_ppo")
    if (model is None) != (data is None):
        raise WrongUsage("--model and --data belong together: a checkpoint folder and the parquet file to train it on")
    model, data = (None if path is None else path.expanduser().resolve() for path in (model, data))
    if model is not None and not (model / "config.json").is_file():
        raise WrongUsage(f"--model {model} has no config.json; give the folder of a Hugging Face checkpoint")
    if data is not None and not data.is_file():
        raise WrongUsage(f"--data {data} is not a file; give a parquet file as verl reads it")
    default = STEPS_OF_THE_WORLD if model is None else STEPS_OF_OWN_MODEL
    return Plan(
        out=out.expanduser().resolve(),
        method=method,
        steps=_within("steps", default if steps is None else steps, 1, 100_000),
        seed=_within("seed", seed, 0, 2**31 - 1),
        nodes=_within("nodes", nodes, 1, MOST_NODES),
        model=model,
        data=data,
    )


def _beyond_the_quickstart(info: MethodInfo) -> str:
    """What a method needs of the data or of its user, in words; empty for one that the quickstart can train."""
    options = [name for name in info.required if name != "target_length"]
    columns = [name for name in info.columns if name != "uses_thinking"] if Need.PROMPT in info.needs else []
    return ", ".join([*(f"the option {name}" for name in options), *(f"the column {name}" for name in columns)])


def _within(name: str, value: int, low: int, high: int) -> int:
    if not low <= value <= high:
        raise WrongUsage(f"--{name} {value} must be from {low} to {high}")
    return value


def stage_of(plan: Plan) -> Stage:
    """Where the run in the plan's folder stands.

    Args:
        plan: The plan.

    Returns:
        FRESH for an empty or absent folder, RESUME where the training is not through, EVALUATE where only the last
        evaluation is missing, FINISHED where the table can be printed.

    Raises:
        WrongUsage: If the folder holds anything else than this very quickstart.
        BadInput: If a file that it needs to go on is damaged or missing.
    """
    recorded = plan.out / SETTINGS_FILE
    if not recorded.exists():
        if plan.out.exists() and (not plan.out.is_dir() or any(plan.out.iterdir())):
            raise WrongUsage(f"--out {plan.out} holds something else; name a new or empty folder")
        return Stage.FRESH
    _refuse_another(plan, json.loads(recorded.read_text(encoding="utf-8")))
    saved = saved_step(plan)
    if saved > 0 and not plan.is_evaluated(0):
        raise BadInput(
            f"{plan.answers(0)} is missing or cut off, and the base model is evaluated before training only; "
            f"{plan.anew}"
        )
    if saved < plan.steps:
        return Stage.RESUME
    return Stage.FINISHED if plan.is_evaluated(plan.steps) else Stage.EVALUATE


def _refuse_another(plan: Plan, recorded: Mapping[str, Any]) -> None:
    asked = plan.settings()
    differing = [
        f"{name} {recorded.get(name)} (now {asked[name]})" for name in asked if recorded.get(name) != asked[name]
    ]
    if differing:
        raise WrongUsage(
            f"--out {plan.out} holds a quickstart with {', '.join(differing)}; give the same options to go on with it, "
            "name another folder, or delete this one"
        )


@contextmanager
def alone_in(folder: Path) -> Iterator[int]:
    """Keep every other quickstart out of a folder, which is made where needed.

    Args:
        folder: Folder of a run.

    Yields:
        A file descriptor; the folder stays closed to others for as long as any process has it open.

    Raises:
        WrongUsage: If another quickstart, or what is left of a killed one, is at work there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            at_work = ", ".join(str(pid) for pid in _working_in(folder)) or "of another user"
            raise WrongUsage(
                f"--out {folder} is in use by another quickstart or by what a killed one left running (processes "
                f"{at_work}); wait for them, end them, or name another folder"
            ) from error
        yield lock
    finally:
        os.close(lock)


def _working_in(folder: Path) -> list[int]:
    found = psutil.process_iter(["cwd"])
    return sorted(process.pid for process in found if process.info["cwd"] == str(folder))


def saved_step(plan: Plan) -> int:
    """The step of the last checkpoint that verl finished, 0 if there is none."""
    committed = plan.checkpoints / "latest_checkpointed_iteration.txt"
    text = committed.read_text(encoding="utf-8").strip() if committed.exists() else "0"
    if not text.isdigit():
        raise BadInput(
            f"{committed} holds {text!r} and no step, as after a full disk; write the number of the newest folder "
            f"global_step_N beside it into it, or {plan.anew}"
        )
    return int(text)


def record(plan: Plan) -> None:
    """Make the folder and write down what it is for."""
    plan.out.mkdir(parents=True, exist_ok=True)
    replace_text(plan.out / SETTINGS_FILE, json.dumps(plan.settings(), indent=2) + "\n")


def replace_text(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all."""
    scratch = path.with_name(f".{path.name}.part")
    scratch.write_text(text, encoding="utf-8")
    os.replace(scratch, path)

"""A quickstart from its options to its table and picture."""

from __future__ import annotations

import importlib.util
import time

from rich.console import Console

from laser_verl.commands import WrongUsage
from laser_verl.quickstart import world
from laser_verl.quickstart.command import arguments, as_shell
from laser_verl.quickstart.evaluation import Row, as_table, compare, failures, read_answers, summary
from laser_verl.quickstart.history import History
from laser_verl.quickstart.picture import save_picture
from laser_verl.quickstart.plan import Plan, Stage, alone_in, record, replace_text, saved_step, stage_of
from laser_verl.quickstart.training import Stopped, train

_PACKAGES = ("matplotlib", "psutil", "ray", "torch", "transfer_queue", "verl", "vllm")


def run(plan: Plan, output: Console, messages: Console) -> int:
    """Do what is left to do of a plan and show the result.

    Args:
        plan: The plan.
        output: Where the table goes.
        messages: Where everything else goes.

    Returns:
        Exit code: 0; 1 where the miniature world's run missed what it should show; 128 + n after signal n.

    Raises:
        WrongUsage: If the folder holds another run or a package is missing.
        BadInput: If the training fails.
    """
    started = time.monotonic()
    if stage_of(plan) is not Stage.FINISHED:
        _require_packages()
        # An unfit model of the reader's own is an error here, before anything is written.
        arguments(plan, Stage.FRESH)
        try:
            with alone_in(plan.out) as lock:
                _do(plan, lock, messages)
        except Stopped as stop:
            _say(messages, _how_to_resume(plan))
            return 128 + stop.number
        _say(messages, f"done in {(time.monotonic() - started) / 60:.1f} minutes")
    return show(plan, output, messages)


def _do(plan: Plan, lock: int, messages: Console) -> None:
    stage = stage_of(plan)
    problems = world.make_problems(plan)
    record(plan)
    world.write(plan, *problems)
    if stage is Stage.RESUME:
        _say(messages, f"going on from step {saved_step(plan)} in {plan.out}")
    command = as_shell(plan)
    replace_text(plan.out / "command.sh", f"{command}\n")
    _say(messages, f"The same training as a command to paste and change:\n\n{command}\n")
    _say(messages, f"Its output goes to {plan.log}")
    train(plan, stage, lock, messages)


def show(plan: Plan, output: Console, messages: Console) -> int:
    """Print the table of a finished run and save its picture.

    Args:
        plan: The plan.
        output: Where the table goes.
        messages: Where everything else goes.

    Returns:
        Exit code 0, or 1 where the run missed what it should show.
    """
    held_out = world.read_rows(plan.held_out_file)
    rows = compare(read_answers(plan.answers(0), held_out), read_answers(plan.answers(plan.steps), held_out))
    overall: Row = rows[0]
    title = f"{plan.method}, {plan.steps} steps, seed {plan.seed}: {summary(overall)}"
    output.print(as_table(rows, title))
    picture = save_picture(History(plan.metrics), overall, plan.steps, title, plan.out / "quickstart.png")
    _say(messages, f"picture: {picture}")
    missed = [] if plan.is_own else failures(overall)
    for sentence in missed:
        _say(messages, f"laser_verl: this run missed its aim: {sentence}")
    return 1 if missed else 0


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _how_to_resume(plan: Plan) -> str:
    return (
        f"stopped; no process is left, and the last checkpoint is that of step {saved_step(plan)}. To go on from it: "
        f"{plan.command()}"
    )


def _require_packages() -> None:
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise WrongUsage(
            f"quickstart needs {', '.join(missing)}; `make setup` in a clone of laser_verl installs the CPU stack that "
            "it was tested with"
        )

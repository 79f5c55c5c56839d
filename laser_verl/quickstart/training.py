"""Run the training command, show how it goes, and leave no process behind."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from laser_verl.commands import BadInput
from laser_verl.quickstart.command import arguments, environment
from laser_verl.quickstart.history import History, describe_step
from laser_verl.quickstart.plan import Plan, Stage
from laser_verl.quickstart.processes import ProcessTree

_LOOK_SECONDS = 0.5
_STEPS_PER_LINE = 10
_LOG_TAIL_LINES = 20
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_STARTING = "starting Ray, the trainer and vLLM, then evaluating the base model (2 to 3 minutes)"
_CONTINUING = "starting Ray, the trainer and vLLM (1 to 2 minutes)"


class Stopped(Exception):
    """A signal asked the run to stop."""

    def __init__(self, number: int) -> None:
        """Keep the signal's number."""
        super().__init__(signal.Signals(number).name)
        self.number = number


def train(plan: Plan, stage: Stage, lock: int, console: Console) -> None:
    """Run the command of a plan to its end.

    Args:
        plan: The plan; its folder is prepared.
        stage: FRESH, RESUME or EVALUATE.
        lock: File descriptor that the command keeps open for as long as it runs.
        console: Where progress goes.

    Raises:
        BadInput: If the command fails; with the end of its log.
        Stopped: If a signal asked to stop. Whatever is raised, no process of the command is left.
    """
    plan.metrics.mkdir(exist_ok=True)
    # a file for each start of the run
    metrics = plan.metrics / f"{len(list(plan.metrics.glob('*.jsonl'))):03d}.jsonl"
    history, watch = History(plan.metrics), Watch(plan.log)
    with _Signals() as signals:
        tree = ProcessTree(arguments(plan, stage), environment(plan, metrics), plan.log, plan.out, lock)
        try:
            with Display(plan, stage, history, console) as display:
                while (code := tree.poll()) is None and signals.received is None:
                    time.sleep(_LOOK_SECONDS)
                    watch.look()
                    tree.look()
                    display.update()
        finally:
            tree.end()
        if signals.received is not None:
            raise Stopped(signals.received)
    if code != 0:
        raise BadInput(f"the training ended with exit code {code}; the end of {plan.log}:\n{tail(plan.log)}")


class Watch:
    """Looks for the death of a worker in the log: verl goes on waiting for the responses of a worker that is gone."""

    _signs = (b"A worker died or was killed while executing a task", b"EngineDeadError", b"Fatal Python error")

    def __init__(self, log: Path) -> None:
        """Begin at the end of what is there.

        Args:
            log: The file, which may not be there yet.
        """
        self._log = log
        self._offset = log.stat().st_size if log.exists() else 0

    def look(self) -> None:
        """Read on.

        Raises:
            BadInput: If a worker has died.
        """
        with self._log.open("rb") as file:
            file.seek(self._offset)
            text = file.read()
        # A sign may be cut in two by this look's end: the last bytes are read again.
        self._offset += max(0, len(text) - max(map(len, self._signs)))
        found = next((line for line in text.splitlines() if any(sign in line for sign in self._signs)), None)
        if found is not None:
            line = _COLOURS.sub("", found.decode(errors="replace"))[:300]
            raise BadInput(f"a worker died: {line}\nThe same command goes on from the last checkpoint. See {self._log}")


class Display:
    """A bar on a terminal, a line every few steps elsewhere."""

    def __init__(self, plan: Plan, stage: Stage, history: History, console: Console) -> None:
        """Show nothing yet."""
        self._plan, self._history, self._console = plan, history, console
        self._shown = max(history.trained, default=0)
        self._starting = True
        self._progress = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=24),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        text = _STARTING if stage is Stage.FRESH else _CONTINUING
        self._task = self._progress.add_task(text, total=plan.steps, completed=self._shown)
        if not console.is_terminal:
            console.print(text, soft_wrap=True, highlight=False)

    def __enter__(self) -> Display:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def update(self) -> None:
        """Show the steps that have come since."""
        self._history.update()
        if self._starting and 0 in self._history.steps and not self._history.trained:
            self._progress.update(self._task, description="the base model is evaluated; first step")
        trained = self._history.trained
        if not trained or (last := max(trained)) == self._shown:
            return
        if self._starting and self._plan.is_own:
            self._console.print(self._how_slow(last), soft_wrap=True, highlight=False)
        text = f"step {last}/{self._plan.steps}: {describe_step(trained[last])}{self._time_left(last)}"
        self._progress.update(self._task, completed=last, description=text)
        if not self._console.is_terminal and (
            self._starting or last // _STEPS_PER_LINE > self._shown // _STEPS_PER_LINE
        ):
            self._console.print(text, soft_wrap=True, highlight=False)
        self._shown, self._starting = last, False

    def _time_left(self, last: int) -> str:
        seconds = self._history.seconds_per_step()
        if seconds is None or last >= self._plan.steps:
            return ", evaluating" if last >= self._plan.steps else ""
        return f", {as_duration(seconds * (self._plan.steps - last))} left"

    def _how_slow(self, last: int) -> str:
        seconds = self._history.seconds_per_step() or 0.0
        remaining = self._plan.steps - last
        return (
            f"A step of this model takes {seconds:.0f} s on this computer: {remaining} more take about "
            f"{as_duration(seconds * remaining)}. Ctrl-C stops; the same command goes on from the last checkpoint."
        )


def as_duration(seconds: float) -> str:
    """Seconds in words.

    Args:
        seconds: 0 or more.

    Returns:
        ``40 s``, ``6 min`` or ``1.5 h``.
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def tail(log: Path) -> str:
    """The last lines of a log, without the colours and counters that Ray puts before them.

    Args:
        log: The file.

    Returns:
        Text.
    """
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 20_000))
        lines = _COLOURS.sub("", file.read().decode(errors="replace")).splitlines()
    return "\n".join(line[:300] for line in lines[-_LOG_TAIL_LINES:])


class _Signals:
    """Notes a signal to stop in place of the exception that would come at any point, as between a start and its note.

    So a second Ctrl-C changes nothing either: the command is ended whole.
    """

    _watched = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self.received: int | None = None

    def __enter__(self) -> _Signals:
        self._kept = {number: signal.signal(number, self._note) for number in self._watched}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._kept.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.received = number

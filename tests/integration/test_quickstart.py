"""The quickstart itself, over two Ray nodes: stopped by Ctrl-C, then started again with the same command."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from laser_verl.quickstart.processes import ProcessTree

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(2700)]


def start(out: Path, log: Path) -> ProcessTree:
    options = ["--method", "laser_de", "--steps", "2", "--nodes", "2", "--out", str(out)]
    return ProcessTree([sys.executable, "-m", "laser_verl", "quickstart", *options], {}, log, log.parent)


def wait(tree: ProcessTree, log: Path, is_reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 1200
    while not is_reached():
        assert time.monotonic() < deadline, log.read_text()
        tree.look()
        time.sleep(0.2)


def test_ctrl_c_leaves_nothing_behind_and_the_same_command_goes_on(runs_folder: Path) -> None:
    # Hydra and the shell each have their own idea of this name
    folder = runs_folder / "quick start, of two"
    folder.mkdir()
    out, log = folder / "out", folder / "log.txt"

    stopped = start(out, log)
    try:
        wait(stopped, log, lambda: (out / "rollouts" / "1.jsonl").exists() or stopped.poll() is not None)
        assert stopped.poll() is None, log.read_text()
        os.kill(stopped.pid, signal.SIGINT)
        wait(stopped, log, lambda: stopped.poll() is not None)
        assert stopped.poll() == 130
        assert stopped.alive() == []
        assert "To go on from it: " in log.read_text()
    finally:
        stopped.end(grace_seconds=60.0)

    again = start(out, log)
    try:
        wait(again, log, lambda: again.poll() is not None)
        # two steps save nothing yet
        assert again.poll() == 1, log.read_text()
    finally:
        again.end(grace_seconds=60.0)
    text = log.read_text()
    assert "laser_de, 2 steps, seed 1" in text
    assert "this run missed its aim" in text
    assert (out / "quickstart.png").exists()
    assert len((out / "evaluation" / "2.jsonl").read_text().splitlines()) == 600

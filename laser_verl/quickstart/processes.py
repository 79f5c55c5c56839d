"""Start a command and end it with everything that it started.

Ray's daemons and vLLM's engines outlive the processes that started them and open sessions of their own. So every
process seen below the command is remembered while it runs, and all of them carry a variable in their environment.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

MARKER = "LASER_VERL_RUN_ID"


class ProcessTree:
    """A running command with all that it started."""

    def __init__(
        self, words: Sequence[str], environment: Mapping[str, str], log: Path, folder: Path, lock: int | None = None
    ) -> None:
        """Start the command in a session of its own, so that a Ctrl-C of the terminal reaches us and not its workers.

        Args:
            words: The program and its arguments.
            environment: Variables besides those of this process.
            log: File to which its output is appended.
            folder: Its working directory.
            lock: File descriptor that the command keeps open for as long as it runs.
        """
        self._run_id = uuid.uuid4().hex
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                words,
                env={**os.environ, **environment, MARKER: self._run_id},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=() if lock is None else (lock,),
            )
        # psutil compares start times, so a number that the system gives out again is not mistaken.
        self._seen: dict[int, psutil.Process] = {self._process.pid: psutil.Process(self._process.pid)}

    @property
    def pid(self) -> int:
        """The command's process."""
        return self._process.pid

    def poll(self) -> int | None:
        """The exit code, None while the command runs."""
        return self._process.poll()

    def look(self) -> None:
        """Remember the processes below the command that are there now; call it every second or so."""
        processes = list(psutil.process_iter(["ppid"]))
        before = -1
        while len(self._seen) > before:
            before = len(self._seen)
            for process in processes:
                parent = self._seen.get(process.info["ppid"])
                if parent is not None and process.pid not in self._seen and parent.is_running():
                    self._seen[process.pid] = process

    def alive(self) -> list[psutil.Process]:
        """The processes of the command that still run; zombies do not count."""
        self.look()
        for process in psutil.process_iter():
            if process.pid not in self._seen and _run_id_of(process) == self._run_id:
                self._seen[process.pid] = process
        return [process for process in self._seen.values() if _runs(process)]

    def end(self, grace_seconds: float = 15.0) -> None:
        """End the command and everything that it started: politely at first, so that Ray can clean up.

        Args:
            grace_seconds: How long the command itself may take to end.
        """
        if self.poll() is None:
            self._process.terminate()
            deadline = time.monotonic() + grace_seconds
            while self.poll() is None and time.monotonic() < deadline:
                self.look()
                time.sleep(0.1)
        for send in (psutil.Process.terminate, psutil.Process.kill, psutil.Process.kill, psutil.Process.kill):
            remaining = self.alive()
            for process in remaining:
                with contextlib.suppress(psutil.Error):
                    send(process)
            psutil.wait_procs(remaining, timeout=3.0)
        self._process.wait()


def _run_id_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(MARKER)
    except (psutil.Error, OSError):
        return None


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False

"""Worker processes for math-verify, or another library that judges, that are killed at the time limit and replaced.

Plain `subprocess`, not `multiprocessing`: it works inside daemon processes, never imports the host's `__main__` again,
and a worker killed from outside costs at most its own task.
"""

import atexit
import contextlib
import json
import os
import queue
import select
import subprocess
import sys
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from laser_verl.scoring.verdict import Status
from laser_verl.scoring.worker import DIED

# Importing sympy on a cold, busy disk can take a minute; this limit only catches an environment that never gets there.
START_SECONDS = 300.0

# What a worker may take to notice that it has reached the limit.
GRACE_SECONDS = 2.0

# A process whose standard output is closed has ended, or is about to.
KILL_SECONDS = 5.0

MOST_STARTS = 4

MATHEMATICS = "laser_verl.scoring.judge"
"""The module whose `load_judge` is math-verify's comparison."""

_Task = tuple[Future[Status], bytes]


class Killed(RuntimeError):
    """A worker was killed while it started."""


class _Worker:
    """One process and its pipes."""

    def __init__(self, timeout_seconds: float, judging: str) -> None:
        script = Path(__file__).with_name("worker.py")
        self._judging = judging
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(script), str(timeout_seconds), str(os.getpid()), judging],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(os.fspath(path) for path in sys.path if path)},
        )

    def warm_up(self) -> None:
        """Wait until it has imported what it needs.

        Raises:
            Killed: A signal from outside ended it.
            RuntimeError: It cannot start here.
        """
        try:
            self._reply(START_SECONDS)
        except (EOFError, TimeoutError) as error:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.0 if isinstance(error, TimeoutError) else KILL_SECONDS)
            code = self._process.returncode
            self.kill()
            if code is not None and code < 0:
                raise Killed(f"signal {-code} ended the scoring worker while it started") from error
            raise RuntimeError(
                f"the scoring worker did not start (exit code {self._process.returncode}); its standard error has the "
                f'reason; try: {sys.executable} -c "import {self._judging} as j; j.load_judge()"'
            ) from error

    def ask(self, request: bytes, timeout_seconds: float) -> Any:
        """The status, or DIED."""
        assert self._process.stdin is not None
        # Past the buffer: what a fork found in it would be sent by the child as well, when that closes the pipe.
        rest = memoryview(request)
        while rest:
            rest = rest[os.write(self._process.stdin.fileno(), rest) :]
        return self._reply(timeout_seconds)

    def _reply(self, timeout_seconds: float) -> Any:
        assert self._process.stdout is not None
        ready = select.poll()  # select.select() fails on descriptors above 1023
        ready.register(self._process.stdout, select.POLLIN)
        if not ready.poll(timeout_seconds * 1000):
            raise TimeoutError
        line = self._process.stdout.readline()
        if not line:
            raise EOFError
        return json.loads(line)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def close_pipes(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):  # what was not sent yet cannot be
                if pipe is not None:
                    pipe.close()


class MathPool:
    """Compares answers in up to `num_workers` processes, each driven by one thread. Nothing starts before it is needed.

    Args:
        num_workers: Most processes at a time, at least 1.
        timeout_seconds: Limit for one comparison, counted from when a warm worker has it.
        judging: Module whose `load_judge` gives, in the processes, what compares golds with an answer.
    """

    def __init__(self, num_workers: int, timeout_seconds: float, judging: str = MATHEMATICS) -> None:
        self._num_workers = num_workers
        self._timeout_seconds = timeout_seconds
        self._judging = judging
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._workers: set[_Worker] = set()
        self._num_open = 0
        self._pid = os.getpid()
        self._is_closed = False

    def submit(self, golds: list[str], answer: str) -> Future[Status]:
        """Queue one comparison.

        Args:
            golds: Acceptable answers.
            answer: The model's answer.

        Returns:
            A future with the status. It raises RuntimeError if no worker can be started or the pool is closed.
        """
        future: Future[Status] = Future()
        request = json.dumps([golds, answer]).encode("ascii") + b"\n"
        with self._lock:
            self._refuse_if_closed()
            if min(self._num_open + 1, self._num_workers) > len(self._threads):
                thread = threading.Thread(target=self._serve, name="laser-scoring", daemon=True)
                thread.start()  # raises where the system has no more
                if not self._threads:
                    atexit.register(self.close)
                self._threads.append(thread)
            self._num_open += 1
            self._tasks.put((future, request))
        future.add_done_callback(self._count_down)
        return future

    def close(self) -> None:
        """Kill the workers at once. Comparisons still open raise RuntimeError. In a forked process: do nothing."""
        if os.getpid() != self._pid:
            return  # the workers are the parent's, and so may be whoever holds the lock
        with self._lock:
            self._is_closed = True
            for worker in self._workers:
                worker.kill()
            for _ in self._threads:
                self._tasks.put(None)
        atexit.unregister(self.close)

    def _count_down(self, _: Future[Status]) -> None:
        with self._lock:
            self._num_open -= 1

    def _serve(self) -> None:
        worker: _Worker | None = None
        while (task := self._tasks.get()) is not None:
            future, request = task
            if not future.set_running_or_notify_cancel():
                continue
            try:
                status, worker = self._judge(request, worker)
                future.set_result(status)
            except Exception as error:
                worker = None  # dropped already
                future.set_exception(error)
        if worker is not None:
            worker.close_pipes()

    def _judge(self, request: bytes, worker: _Worker | None) -> tuple[Status, _Worker | None]:
        # A worker that dies (killed from outside, out of memory) gets its task one second chance.
        for _ in range(2):
            worker = worker or self._start()
            try:
                reply = worker.ask(request, self._timeout_seconds + GRACE_SECONDS)
            except Exception as error:
                self._drop(worker)
                worker = None
                if not isinstance(error, EOFError | OSError):  # TimeoutError is one: at a mere time-out it says so
                    raise
            else:
                if reply != DIED:
                    return reply, worker
        return "error", worker

    def _start(self) -> _Worker:
        """A warm worker. What kills one that starts says nothing about the answer that waits for it."""
        for _ in range(MOST_STARTS - 1):
            with contextlib.suppress(Killed):
                return self._start_once()
        return self._start_once()

    def _start_once(self) -> _Worker:
        self._refuse_if_closed()
        worker = _Worker(self._timeout_seconds, self._judging)
        with self._lock:
            self._workers.add(worker)  # before it is warm, so that close() finds it
        try:
            self._refuse_if_closed()
            worker.warm_up()
        except BaseException:
            self._drop(worker)
            raise
        return worker

    def _refuse_if_closed(self) -> None:
        if self._is_closed:
            raise RuntimeError("the scorer is closed; make a new one")

    def _drop(self, worker: _Worker) -> None:
        worker.kill()
        worker.close_pipes()
        with self._lock:
            self._workers.discard(worker)

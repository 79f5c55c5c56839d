"""A process that compares answers: one JSON request per line on standard input, one JSON reply per line back.

`pool.py` starts it as a script, so that the host's `__main__` is not imported again. It imports math-verify, or another
library that judges, once, and forks: the child judges what this process hands on, and when that takes too long, or too
much memory, or somebody kills the child, this process says so, and the next child is there in milliseconds and as warm.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import logging
import os
import resource
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import NoReturn

MEMORY_BYTES = 1 << 30

_SHORT_OF_MEMORY = 0.95

DIED = "died"

_Judge = Callable[[Sequence[str], str], str]

_PR_SET_PDEATHSIG = 1


def main(timeout_seconds: float, parent: int, judging: str) -> None:
    """Have requests answered until standard input ends, or the parent does.

    Args:
        timeout_seconds: Limit for one request, in seconds.
        parent: Process id of the parent.
        judging: Module whose `load_judge` gives what compares golds with an answer.
    """
    # Forks of the parent keep standard input open when it dies. The kernel goes by the thread that started this
    # process, which in `pool.py` serves it to its end.
    _end_with(parent)
    replies = os.dup(1)
    os.dup2(2, 1)  # what a library prints must not mix with the replies
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, whose end then ends this process
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    _limit_memory()
    logging.disable(logging.CRITICAL)  # math-verify warns about every text it cannot read
    warnings.simplefilter("ignore")  # and so does sympy
    judge = importlib.import_module(judging).load_judge()
    gc.freeze()  # what is loaded by now stays shared between the children
    with contextlib.suppress(BrokenPipeError):  # no one left to reply to
        _write(replies, "ready")
        child = _Child(judge, timeout_seconds)
        for request in sys.stdin.buffer:
            if child.has_ended():
                child = _Child(judge, timeout_seconds)
            _write(replies, child.ask(request))


def _write(replies: int, reply: str) -> None:
    os.write(replies, json.dumps(reply).encode("ascii") + b"\n")


class _Child:
    """The process that judges, a fork of this one."""

    def __init__(self, judge: _Judge, timeout_seconds: float) -> None:
        parent = os.getpid()
        self._connection, requests = Pipe()
        self._status: int | None = None
        self._pid = os.fork()
        if self._pid == 0:
            self._connection.close()
            _end_with(parent)
            _serve(judge, requests, timeout_seconds)
        requests.close()

    def ask(self, request: bytes) -> str:
        """The status of one request; "timeout" or DIED if the child ended over it."""
        try:
            self._connection.send_bytes(request)
            return self._connection.recv_bytes().decode("ascii")
        except (EOFError, OSError):
            self.has_ended(wait_options=0)
            return "timeout" if self._status == -signal.SIGALRM else DIED

    def has_ended(self, wait_options: int = os.WNOHANG) -> bool:
        """Whether it cannot take a request any more."""
        if self._status is None:
            pid, status = os.waitpid(self._pid, wait_options)
            if pid:
                self._connection.close()
                self._status = os.waitstatus_to_exitcode(status)
        return self._status is not None


def _limit_memory() -> None:
    allowed = resource.getrlimit(resource.RLIMIT_AS)[1]
    limit = MEMORY_BYTES if allowed == resource.RLIM_INFINITY else min(MEMORY_BYTES, allowed)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _was_short_of_memory() -> bool:
    """Whether this process has come close to its limit."""
    with open("/proc/self/status", encoding="ascii") as file:
        peak = next((int(line.split()[1]) << 10 for line in file if line.startswith("VmPeak")), 0)
    return peak > _SHORT_OF_MEMORY * resource.getrlimit(resource.RLIMIT_AS)[0]


def _end_with(parent: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _serve(judge: _Judge, requests: Connection, timeout_seconds: float) -> NoReturn:
    """Answer requests, in the child. At the limit the kernel ends it, whatever it is in the middle of."""
    with contextlib.suppress(EOFError, OSError):
        while True:
            request = requests.recv_bytes()
            signal.setitimer(signal.ITIMER_REAL, timeout_seconds)
            try:
                status = judge(*json.loads(request))
            except MemoryError:
                os._exit(1)  # what is left of the heap is not to be trusted
            except Exception:
                status = "error"
            if status != "equal" and _was_short_of_memory():
                os._exit(1)  # math-verify takes a MemoryError for an answer that it cannot read
            signal.setitimer(signal.ITIMER_REAL, 0)
            requests.send_bytes(status.encode("ascii"))
    os._exit(0)


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]), sys.argv[3])

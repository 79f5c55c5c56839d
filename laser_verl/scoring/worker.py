"""A process that runs math-verify: one JSON request per line on standard input, one JSON reply per line back.

`pool.py` starts it as a script, so that the host's `__main__` is not imported again. It imports math-verify once, and
forks: the child answers the requests, and when one takes too long, or too much memory, or somebody kills the child, the
next child is there in milliseconds and as warm.
"""

import ctypes
import gc
import json
import logging
import mmap
import os
import resource
import signal
import sys
import warnings
from collections.abc import Callable, Sequence

from laser_verl.scoring.judge import load_judge

MEMORY_BYTES = 1 << 30

_SHORT_OF_MEMORY = 0.95

DIED = "died"

_PR_SET_PDEATHSIG = 1


def main(timeout_seconds: float) -> None:
    """Have requests answered until standard input ends, which it does when the parent closes it or dies.

    Args:
        timeout_seconds: Limit for one request, in seconds.
    """
    replies = os.dup(1)
    os.dup2(2, 1)  # what a library prints must not mix with the replies
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, whose end then ends this process
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # no one left to reply to: end without a traceback
    _limit_memory()
    logging.disable(logging.CRITICAL)  # math-verify warns about every text it cannot read
    warnings.simplefilter("ignore")  # and so does sympy
    judge = load_judge()
    gc.freeze()  # what is loaded by now stays shared between the children
    is_busy = mmap.mmap(-1, 1)  # shared with the child
    _reply(replies, "ready")
    while True:
        parent = os.getpid()
        child = os.fork()
        if child == 0:
            _serve(judge, replies, is_busy, timeout_seconds, parent)
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) == 0:
            return
        if is_busy[0]:
            is_busy[0] = 0
            _reply(replies, "timeout" if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM else DIED)


def _limit_memory() -> None:
    allowed = resource.getrlimit(resource.RLIMIT_AS)[1]
    limit = MEMORY_BYTES if allowed == resource.RLIM_INFINITY else min(MEMORY_BYTES, allowed)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _was_short_of_memory() -> bool:
    """Whether this process has come close to its limit."""
    with open("/proc/self/status", encoding="ascii") as file:
        peak = next((int(line.split()[1]) << 10 for line in file if line.startswith("VmPeak")), 0)
    return peak > _SHORT_OF_MEMORY * resource.getrlimit(resource.RLIMIT_AS)[0]


def _serve(
    judge: Callable[[Sequence[str], str], str], replies: int, is_busy: mmap.mmap, timeout_seconds: float, parent: int
) -> None:
    """Answer requests, in the child. At the limit the kernel ends it, whatever it is in the middle of."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
    for line in sys.stdin.buffer:
        is_busy[0] = 1
        signal.setitimer(signal.ITIMER_REAL, timeout_seconds)
        try:
            status = judge(*json.loads(line))
        except MemoryError:
            os._exit(1)  # what is left of the heap is not to be trusted
        except Exception:
            status = "error"
        if status != "equal" and _was_short_of_memory():
            os._exit(1)  # math-verify takes a MemoryError for an answer that it cannot read
        signal.setitimer(signal.ITIMER_REAL, 0)
        is_busy[0] = 0
        _reply(replies, status)
    os._exit(0)


def _reply(replies: int, reply: str) -> None:
    os.write(replies, json.dumps(reply).encode("ascii") + b"\n")


if __name__ == "__main__":
    main(float(sys.argv[1]))

r"""The process that runs math-verify: one JSON request per line on standard input, one JSON reply per line back.

Started by `pool.py` as a script, so that neither the host's `__main__` nor this package is imported again. math-verify
runs in the main thread with its own time-outs off: the parent kills the process instead.
"""

import json
import logging
import os
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

# Beyond the parent's own limit. Only the kernel can end a process whose parent is gone and whose interpreter is stuck
# in one long big-integer operation, and SIGALRM with its default action is how to ask it to.
GRACE_SECONDS = 2.0

MEMORY_BYTES = 1 << 30


def as_latex(text: str) -> str:
    r"""Wrap an answer so that math-verify's LaTeX extraction finds exactly it.

    Args:
        text: A bare answer.

    Returns:
        The answer in a box; a final percent sign goes outside, where math-verify reads it: `50\%` becomes
        `$\boxed{50}$\%`.
    """
    bare = text.removesuffix("%").removesuffix("\\").rstrip()
    return rf"$\boxed{{{bare}}}$\%" if text.endswith("%") and bare else rf"\boxed{{{text}}}"


def load_judge() -> Callable[[Sequence[str], str], str]:
    """Import math-verify, warm it, and return the comparison of golds with one answer.

    Returns:
        A function of (golds, answer) that gives "equal", "different" or "unparseable".
    """
    from math_verify import LatexExtractionConfig, parse, verify  # type: ignore[import-untyped]

    # LaTeX only: the plain-expression extraction of math-verify ends in sympy's parse_expr, which evaluates text.
    extraction = (LatexExtractionConfig(),)

    def read(text: str) -> list[Any]:
        return list(parse(as_latex(text), extraction, parsing_timeout=None))

    def judge(golds: Sequence[str], answer: str) -> str:
        target = read(answer)
        if any(verify(read(gold), target, timeout_seconds=None) for gold in golds):
            return "equal"
        return "unparseable" if all(isinstance(item, str) for item in target) else "different"

    judge([r"\frac{\sqrt{2}}{2}"], r"\frac{1}{\sqrt{2}}")
    return judge


def main(timeout_seconds: float) -> None:
    """Answer requests until standard input ends, which it does when the parent closes it or dies.

    Args:
        timeout_seconds: The parent's limit for one request, in seconds.
    """
    replies = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # what a library prints must not mix with the replies
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, whose end then ends this process
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # no one left to reply to: end without a traceback
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    logging.disable(logging.CRITICAL)  # math-verify warns about every text it cannot read
    judge = load_judge()
    print(json.dumps("ready"), file=replies, flush=True)
    for line in sys.stdin.buffer:
        signal.setitimer(signal.ITIMER_REAL, timeout_seconds + GRACE_SECONDS)
        try:
            status = judge(*json.loads(line))
        except Exception:
            status = "error"
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(json.dumps(status), file=replies, flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]))

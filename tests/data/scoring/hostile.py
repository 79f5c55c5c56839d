r"""Responses that a model under pressure might write to hang, crash, run or trick the scorer.

`python tests/data/scoring/hostile.py > hostile.jsonl` writes them for `laser-verl score`.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# Seconds, on a busy machine, with a limit of one second an answer. To refuse takes microseconds and to scan 10^6
# characters at most half a second; math-verify may take its whole limit, and a worker may have to start before.
SCAN, JUDGED = 3.0, 15.0

REFUSED = ("unparseable",)
STOPPED = ("timeout", "unparseable")
NOT_EQUAL = ("different", "unparseable")
SLOW = ("timeout", "different", "unparseable")


@dataclass(frozen=True)
class Hostile:
    """One response.

    Args:
        name: What it attacks.
        response: Full text.
        gold: The gold answer.
        statuses: Statuses that are allowed.
        correct: What a careful grader says.
        seconds: Upper bound for the verdict.
    """

    name: str
    response: str
    gold: str
    statuses: tuple[str, ...]
    correct: bool
    seconds: float


def boxed(answer: str) -> str:
    """A well-formed response around an answer."""
    return f"<think> a </think> \\boxed{{{answer}}}"


def _wrong(
    name: str, answers: Sequence[str], statuses: tuple[str, ...], seconds: float, gold: str = "7"
) -> list[Hostile]:
    return [
        Hostile(f"{name} {number}", boxed(answer), gold, statuses, False, seconds)
        for number, answer in enumerate(answers, 1)
    ]


# fmt: off
TOWERS = (
    "9^9^9^9", "9^{9^{9^9}}", "10^{10^{10}}", "9**9**9", "{9^9}^{9^{9}}", "2^{2^{2^{2^{2^2}}}}", "9^{99999999}",
    "10^{-10^{10}}", "0.5^{-10^{10}}", "(10^{100})^{10^{100}}", "e^{e^{e^{e^{e}}}}", "x^{9^{9^9}}", "9^{9!}",
    "2^{3^{20}}", r"\sqrt[9^{9^9}]{2}", r"7^{7^{7^7}}\bmod 10", "9^{9^{9^9}}-9^{9^{9^9}}+8",
    r"\left(9^{9}\right)^{9^{9}}", "(((((9^9)^9)^9)^9)^9)^9", "9^(9^(9^9))",
    r"\begin{pmatrix}1&1\\1&0\end{pmatrix}^{10^9}",
)
FACTORIALS = (
    "(10^9)!", "99999999!", "5!!!!!!", "((9!)!)!", "10^9!", "(10^{10^{10}})!", r"\frac{(10^8)!}{(10^8-1)!}", "(3!)!!!",
    r"\left(9^9\right)!", r"\binom{10^9}{5\cdot 10^8}", r"\binom{10^{12}}{10^6}", r"\dbinom{99999999}{4999999}",
)
ENDLESS = (
    r"\Gamma(10^9)", r"{10^9 \choose 10^8}", r"\sum_{k=1}^{10^{12}} \frac{1}{k^2+1}", r"\sum_{n=1}^{10^{12}} \sin n",
    r"\prod_{k=1}^{1000000} (x-k)", r"\int_0^{10^{12}} \sin(x^x)\,dx",
)
LONG = {
    "spaces": " " * 1_000_000, "box of spaces": boxed(" " * 1_000_000), "braces": "{" * 1_000_000, "empty": "",
    "closing braces": "}" * 1_000_000, "open boxes": r"\boxed{" * 100_000, "backslashes": "\\" * 1_000_000,
    "boxes without braces": r"\boxed" * 150_000 + " 7", "open boxes after two backslashes": r"\\boxed{" * 100_000,
    "box, then closing tags": r"\boxed{7}" + "</think>" * 100_000, "half tags": "<think" * 150_000,
    "empty box": boxed(""), "NUL bytes": "\x00" * 1_000_000, "no box": "<think> a </think> The answer is 7.",
    "box in the thought only": r"<think> \boxed{7} </think> The answer is 7.",
}
RIGHT = {
    "spaces before the answer": boxed(" " * 1_000_000 + "7"), "ties": boxed("~" * 1_000_000 + "7"),
    "opening tags": "<think>" * 100_000 + r"\boxed{7}",
    "closing tags": "</think>" * 100_000 + r"\boxed{7}", "boxes": r"\boxed{7}" * 50_000,
    "box in a box": boxed(r"\boxed{7}"), "last of two boxes": boxed("8") + r"\boxed{7}",
    "wrong in the thought": r"<think> \boxed{8} </think> \boxed{7}",
    "thought without end": r"<think> \boxed{7}" + " 8 " * 200_000 + r"\boxed{",
    "text behind the box": boxed("7") + " or 8",
}
LONG_ANSWERS = (
    "9" * 100_000, "0." + "3" * 100_000, "-" * 100_000 + "7", "1/" * 50_000 + "7", "(" * 100_000, "[" * 3000,
    "(" * 500 + "8" + ")" * 500, r"\sqrt{" * 300 + "7" + "}" * 300, r"\frac{1}{" * 300 + "7" + "}" * 300,
    r"\left(" * 200 + "8" + r"\right)" * 200, "x^{" * 300 + "2" + "}" * 300, r"\{" * 300 + "8" + r"\}" * 300,
    r"\begin{pmatrix}" * 300, "{" * 500_000 + "8" + "}" * 500_000, ",".join(map(str, range(20_000))),
    "+".join(["x"] * 20_000), r"\cup".join(f"[{n},{n + 1})" for n in range(9000)), "7" + "\u0301" * 10_000,
)
CHARACTERS = (
    "\u202e7\u202c", "7\x00", "\ud800", "7\udfff8", "\ufeff\ufeff", "\u200b" * 900, "7\u20e3", "\U0001f600", "\u0667",
    "\uff18", "\x1b[2J\x07", "\u2028\u2029", "\uffff", "\x85\xa0\u3000", "\u221e" * 500, "\U0001d7d5", "\u2078",
    "\u00bd", "\u4e03", "\ud83d\ude00 7",
)
UNCLOSED = (
    r"\boxed{\frac{1}{2}", r"\boxed{\begin{pmatrix}1", r"$\boxed{7$", r"\boxed{7\}", r"\boxed {7", r"\boxed{\text{7",
    r"\[\boxed{\left(7", "\\boxed\n7",
)
MALFORMED = (
    r"\frac{", r"\frac{7", r"\left(", r"\sqrt[", r"\begin{pmatrix}1&", "7^", "7_", r"\\", "\\", r"\frac", "^", "&",
    r"\text{", "}{", r"\left\right", "%%%", "#1", "~" * 100, "_" * 100, "^" * 100, "!" * 100, "=" * 100,
    "|" * 400 + "8" + "|" * 400,
)

MARK = "laser_hostile_was_here"
_TOUCH = f"__import__('os').system('touch {MARK}')"
# Each creates a file named MARK if anything runs it, or ends or changes the process.
CODE = (
    _TOUCH, f"open('{MARK}','w')", f'eval("{_TOUCH}")', f'exec("{_TOUCH}")', f"lambda: {_TOUCH}",
    f"7 if {_TOUCH} else 7", f"7 + {_TOUCH}", f"({_TOUCH}, 8)", f"[{_TOUCH} for x in (1,)]", f"= 8 - {_TOUCH}",
    f'sympify("{_TOUCH}")', "exit()", "Symbol.__class__", "().__class__.__bases__[0].__subclasses__()",
    "S('8').__reduce__()", "__builtins__", "print(7)", rf"\text{{{_TOUCH}}}", f"$8$ and {_TOUCH}",
    f"answer: 8**8 {_TOUCH}", "globals()", "8;import os", "@x: 8", "null", r"\input{/etc/passwd}",
    r"\include{/etc/passwd}", rf"\write18{{touch {MARK}}}", rf"\immediate\write18{{touch {MARK}}}", r"\def\x{\x\x}\x",
    r"\loop\iftrue\repeat", r"\newcommand{\a}{\a}\a", r"\csname input\endcsname /etc/passwd", r"\catcode`\{=12",
    r"\openout15=x", r"\directlua{os.exit()}", r"\expandafter\x\x", r"\read16 to\x", r"\usepackage{x}",
    f"$(touch {MARK})", f"; touch {MARK}", f"`touch {MARK}`", '"]\n["7"], "7', '7"]', "{{8*1}}", "%n%s%x", "' OR 1=1",
)
# Repeated 50 000 times for the patterns of this package, 60 times to get past the limit of the length to math-verify's.
UNITS = (
    r"\frac{{", "^(", "sqrt(", r"\text{", r"\text{ ", r"\ ", r"\quad", ", ", "$", r"\$", "$ and ", "$1$ and ", "$$ ",
    r"\( ", r"\[ ", " [ ", "answer ", "final answer is ", "answer: $", "and ", ",and", "1,", "1,000,", "1 000 ",
    r"\mathrm{cm}", r"\left", r"\frac1", r"\sqrt ", "{,}", "%", r"\%", ". ", r"\text{and}", "=", "x=", r"\approx",
    "(1)_{", "cm ", r"\text{ cm}^", r"\boxed", r"\fbox{", "or ", r"\, ", "infinity ", r"\\", " 7", "-", "+ ",
    r"^\circ",
)
_HUNDRED = ",".join(map(str, range(1, 101)))
LISTS = (
    r"\text{one of } 1, 2, 3, 4, 5, 6, 7", "one of 1, 2, 3, 4, 5, 6, 7", "7 or 8", "8 or 7", "7, 8, 9", "7 and 8",
    "5, 6, 7", rf"\{{{_HUNDRED}\}}", _HUNDRED, rf"x \in \{{{_HUNDRED}\}}", r"7 \text{ or } 8", r"8 \text{ or } 7",
    r"7 \text{ and } 8", r"0 \le x \le 100", "7=8=9", r"\pm 7", r"7 \pm 1", "x=x", "n", "answer", "x", "7;8", "7/8",
    "7 8", "(7,8)", "[7,8]", r"7 \quad 8", r"x = 7 \text{ or } x = 8", "6 < x < 8", r"\{7\} \cup \{8\}", "[0,100]",
    r"\mathbb{Z}", r"\ldots, 7, \ldots", "1 or 2 or 3 or 4 or 5 or 6 or 7", r"7 \lor 8", "7 | 8", r"\text{7 or 8}",
    r"7\ (8)", r"7 \neq 8", "7>6", "x=7,8", "x=8,7", r"7 \text{, or } 8", r"7 \vee 8", r"\begin{cases}7\\8\end{cases}",
    r"\begin{pmatrix}7\\8\end{pmatrix}", r"7\\8", "7\n8", r"$7$ or $8$", r"$7$, $8$", r"\boxed{7} \boxed{8}",
    r"\text{either } 7 \text{ or } 8", r"7\text{ (alternatively }8)", "7 vs 8", r"x \mid x = x", r"\text{the gold}",
    r"\text{correct}", "?", "*", r"\infty", r"\{x : x = x\}", r"7 \to 8",
    r"\begin{cases} 7 & \text{if } a \\ 8 & \text{else} \end{cases}", "7 = x = 8", r"7\cdot x", "7,7,8", r"8 \approx 7",
)
# math-verify drops what follows the first answer as a unit, an index or an approximation, or takes the last side.
HEDGES = (
    r"7\text{ or 8}", r"7\text{, 8, 9}", r"7 \text{ (or 8 or 9)}", r"7\mbox{ or 8}", r"7\textbf{ or 8 or 9}",
    r"7\mathrm{8}", r"7\text{ cm}, 8\text{ cm}", r"7\text{ or }8\text{ or 9}", r"7^\circ\text{ or 8}", "7_{8, 9}",
    r"7,\ldots", r"7 \approx 8", "8=7", "x=8=7", "5=6=7", r"7\text{/8}", r"7 \text{ vs 8}", r"7 \text{ oder 8}",
    r"7 \text{ is wrong}", r"7 \text{ is not the answer}", r"7 \ldots", r"\ldots 7", r"8 \equiv 7", r"3 \quad 4",
    "3 4", "8.0=7", "=".join("8" + "7" * 40), "x=1=x=2=x=3=x=7", r"1,2,3,4 \fbox{7}", r"8 \boxed {7}",
    "8. final answer is $7$ I hope", "final answer is $7$ I hope it is not $8$",
)
# fmt: on


def slow_algebra() -> Iterator[Hostile]:
    """Ordinary in size, slow to simplify."""
    sines = "+".join(rf"\sin {n}" for n in range(1, 30))
    quotients = "+".join(rf"\frac{{{n}x+1}}{{x^{{{n}}}+{n}}}" for n in range(2, 12))
    radicals = r"\sqrt{2+" * 12 + "x" + "}" * 12
    integral = r"\int_0^1 \sqrt{\sin(x^7)+\tan(x^5)}\,dx"  # a second: on the one side of a limit or the other
    yield from _wrong("integral", [integral], SLOW, JUDGED)
    yield from _wrong("slow", [sines, quotients, radicals, "(x+y+z)^{200}"], SLOW, JUDGED, gold="x^2+1")
    wide = r"\\".join("&".join(f"x_{{{row}{column}}}" for column in range(9)) for row in range(9))
    matrices = [rf"\det\begin{{pmatrix}}{wide}\end{{pmatrix}}", r"\begin{pmatrix}x&y\\z&w\end{pmatrix}^{60}"]
    yield from _wrong("matrix", matrices, SLOW, JUDGED, gold=r"\begin{pmatrix}1&0\\0&1\end{pmatrix}")


def resources() -> Iterator[Hostile]:
    """Time, memory, stacks."""
    yield from _wrong("tower", TOWERS, REFUSED, SCAN)
    yield from _wrong("factorial", FACTORIALS, REFUSED, SCAN)
    yield from _wrong("endless", ENDLESS, STOPPED, JUDGED)
    yield from slow_algebra()
    yield from _wrong("long answer", LONG_ANSWERS, REFUSED, SCAN)
    for name, text in LONG.items():
        yield Hostile(name, text, "7", REFUSED, False, SCAN)
    for name, text in RIGHT.items():
        yield Hostile(name, text, "7", ("equal",), True, SCAN)
    for unit in UNITS:
        yield from _wrong(f"50000 times {unit!r}", [unit * 50_000 + _close(unit, 50_000)], REFUSED, SCAN)
        yield from _wrong(f"60 times {unit!r}", [unit * 60 + _close(unit, 60)], SLOW, JUDGED)


def _close(unit: str, times: int) -> str:
    return "}" * ((unit.count("{") - unit.count("}")) * times) or "8"


def texts() -> Iterator[Hostile]:
    """Characters, broken LaTeX, code."""
    yield from _wrong("characters", CHARACTERS, REFUSED, JUDGED)
    for number, text in enumerate(UNCLOSED, 1):
        yield Hostile(f"unclosed {number}", f"<think> a </think> {text}", "7", REFUSED, False, SCAN)
    yield from _wrong("malformed", MALFORMED, SLOW, JUDGED)
    yield from _wrong("code", CODE, NOT_EQUAL, JUDGED)


def cheats() -> Iterator[Hostile]:
    """Answers that contain the gold without giving it."""
    yield from _wrong("list", LISTS, SLOW, JUDGED)
    halves = [rf"\frac{{1}}{{2}}{tail}" for tail in (", 3", r" \text{ or } 3", " or 3", "; 3", r" \frac{1}{3}")]
    yield from _wrong("appended", halves, NOT_EQUAL, JUDGED, gold=r"\frac{1}{2}")
    letters = [
        "A, B, C, D",
        "A/B/C/D",
        "ABCD",
        r"\text{A or B}",
        r"\text{(A), (B)}",
        r"\{A,B\}",
        "A B",
        r"A \text{ or } B",
    ]
    yield from _wrong("letters", [*letters, "[A-D]", "A=B"], NOT_EQUAL, JUDGED, gold="A")
    sets = [r"\{1,2\},\{1,3\}", "1,2,3,4,5", r"\{1,2\} \text{ or } \{1,3\}", "[1,2]", "1<x<2", r"\mathbb{N}"]
    yield from _wrong("sets", sets, NOT_EQUAL, JUDGED, gold=r"\{1,2\}")
    last = {"two boxes": boxed("7") + r"\boxed{8}", "right in the thought": r"<think> \boxed{7} </think> \boxed{8}"}
    for name, text in last.items():
        yield Hostile(name, text, "7", ("different",), False, SCAN)


def hedges() -> Iterator[Hostile]:
    """Answers with something behind the gold that math-verify does not look at."""
    yield from _wrong("hedge", HEDGES, NOT_EQUAL, JUDGED)
    halves = [r"\frac{1}{2}\text{ or 3}", r"\frac{1}{2} \mathrm{, 3}"]
    yield from _wrong("hedged fraction", halves, NOT_EQUAL, JUDGED, gold=r"\frac{1}{2}")


GROUPS: dict[str, list[Hostile]] = {group.__name__: list(group()) for group in (resources, texts, cheats, hedges)}

RESPONSES: list[Hostile] = [item for group in GROUPS.values() for item in group]


def main() -> None:
    """Write the responses and golds as JSON lines."""
    for item in RESPONSES:
        sys.stdout.write(json.dumps({"response": item.response, "gold": item.gold}) + "\n")


if __name__ == "__main__":
    main()

r"""The comparison of golds with an answer by math-verify, as the worker processes make it.

math-verify's own time-outs are off, since a signal cannot interrupt everything: `worker.py` has the process killed.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

# Where two expressions are compared in value: no special point of any function. A step apart for the next symbol.
_POINT, _STEP = 0.7310585786, 0.2130427

# Beyond these a float says nothing; and how close decimals have to be, relative to their size.
_NOTHING, _MUCH, _CLOSE = 1e-60, 1e50, 1e-3

# The constructions that answers are made of: the parser builds its tables, and sympy its caches, as they meet them.
_WARM_UP = (
    (r"\sin(2x)+3", r"3+2\sin x\cos x"),
    (r"5\ln 2+e^{3x}", r"\ln 32+(e^{x})^3"),
    (r"\frac{x+1}{x+2}", r"1-\frac{1}{x+2}"),
    (r"\sqrt[3]{2}+\frac{2}{3}", r"\frac{2}{3}+2^{1/3}"),
    (r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt{2}}"),
    (r"3x^2+2x-\frac{1}{2}", r"(x+1)(x-2)"),
    (r"\sin(2x)+\cos x", r"2\sin x\cos x"),
    (r"2\ln 3+e^{-x}", r"\ln 9 + \log_2 8"),
    (r"(1, 2)\cup[3, \infty)", r"\{1, 2\}"),
    (r"x=\frac{\pi}{3}", r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}"),
    (r"1 \le x < 2", r"3+4i"),
)


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
        A function of (golds, answer) that gives "equal", "different" or "unparseable"; without golds it only says
        whether the answer can be read.
    """
    from math_verify import LatexExtractionConfig, parse, verify  # type: ignore[import-untyped]

    _parse_in_two_stages()
    # LaTeX only: the plain-expression extraction of math-verify ends in sympy's parse_expr, which evaluates text.
    extraction = (LatexExtractionConfig(),)

    @lru_cache(maxsize=1024)  # a gold comes back with every response of its group
    def read(text: str) -> list[Any]:
        # first_match: where the box cannot be read, nothing else is picked out of its text
        return list(parse(as_latex(text), extraction, extraction_mode="first_match", parsing_timeout=None))

    def judge(golds: Sequence[str], answer: str) -> str:
        target = read(answer)
        for gold in golds:
            found = read(gold)
            if not are_surely_apart(found[:1], target[:1]) and verify(found, target, timeout_seconds=None):
                return "equal"
        return "unparseable" if all(isinstance(item, str) for item in target) else "different"

    for gold, answer in _WARM_UP:
        judge([gold], answer)
    return judge


def _parse_in_two_stages() -> None:
    """Let the LaTeX parser try the fast prediction of ANTLR first, and its full one only where that fails.

    ANTLR promises the same tree from both where the fast one gives any (PredictionMode.SLL); it is some three times as
    fast on symbolic answers.
    """
    from antlr4 import PredictionMode  # type: ignore[import-untyped]
    from latex2sympy2_extended.latex2sympy2 import _Latex2Sympy  # type: ignore[import-untyped]

    create_parser, parse = _Latex2Sympy.create_parser, _Latex2Sympy.parse

    def create_in_mode(self: Any, latex: str) -> Any:
        parser = create_parser(self, latex)
        parser._interp.predictionMode = self._mode
        return parser

    def parse_twice(self: Any, latex: str) -> Any:
        self._mode = PredictionMode.SLL
        try:
            return parse(self, latex)
        except Exception:
            self._mode = PredictionMode.LL
            return parse(self, latex)

    _Latex2Sympy.create_parser, _Latex2Sympy.parse = create_in_mode, parse_twice


def are_surely_apart(gold: Sequence[Any], answer: Sequence[Any]) -> bool:
    r"""Say whether two expressions differ in value, so that nobody need try to simplify their difference to zero.

    With a decimal among them, "apart" is a thousandth of the larger one: math-verify rounds to 6 places, by which 0.0
    would equal every small number.

    Args:
        gold: What math-verify read, one item or none.
        answer: The same.

    Returns:
        True if both are plain expressions whose values at one point are far apart; False where nothing is known. E.g.
        of sin(x) and 2·sin(x): True; of anything with an equation, a set or a percent sign: False.
    """
    from sympy import Float

    if not (gold and answer and _is_plain(gold[0]) and _is_plain(answer[0])):
        return False
    ours, theirs = gold[0], answer[0]
    symbols = sorted(ours.free_symbols | theirs.free_symbols, key=str)
    point = {symbol: _POINT + _STEP * index for index, symbol in enumerate(symbols)}
    try:
        first, second = (complex(value.evalf(15, subs=point)) for value in (ours, theirs))
    except Exception:
        return False
    size, difference = max(abs(first), abs(second)), abs(first - second)
    if ours.has(Float) or theirs.has(Float):
        return not symbols and _NOTHING < size < _MUCH and difference > _CLOSE * size
    return size < _MUCH and difference > 1e-6 * max(1.0, size)  # of a value that is 0, rounding errors may be left


def _is_plain(value: Any) -> bool:
    """Whether math-verify has no rules of its own for it, as for bare symbols and percentages."""
    from sympy import Expr, Symbol, UnevaluatedExpr
    from sympy.concrete.expr_with_limits import ExprWithLimits

    if not isinstance(value, Expr) or isinstance(value, Symbol) or getattr(value, "is_Matrix", False):
        return False
    return not value.has(UnevaluatedExpr, ExprWithLimits)

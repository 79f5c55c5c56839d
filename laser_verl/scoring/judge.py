r"""The comparison of golds with an answer by math-verify, as the worker processes make it.

math-verify's own time-outs are off, since a signal cannot interrupt everything: `worker.py` has the process killed.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

# Where two expressions are compared in value: no special point of any function. A step apart for the next symbol.
_POINT, _STEP = 0.7310585786, 0.2130427

# Beyond these a float says nothing; and how close decimals have to be, relative to their size.
_NOTHING, _MUCH, _CLOSE = 1e-60, 1e50, 1e-3

# In the text of an answer, it is a second one.
_BOX = re.compile(r"\\(?:boxed|fbox)(?![a-zA-Z])")

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


def load_judge() -> Callable[[Sequence[str], str], str]:
    """Import math-verify, warm it, and return the comparison of golds with one answer.

    Returns:
        A function of (golds, answer) that gives "equal", "different" or "unparseable"; without golds it only says
        whether the answer can be read.
    """
    from math_verify import verify  # type: ignore[import-untyped]

    _parse_in_two_stages()
    read = lru_cache(maxsize=1024)(_reader())  # a gold comes back with every response of its group

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


def _reader() -> Callable[[str], list[Any]]:
    """What math-verify's `parse` does with a box, without its search for one.

    That search would take a box inside of the text, or what stands behind "final answer is", for the answer; and where
    it finds no LaTeX it ends in sympy's `parse_expr`, which evaluates text.
    """
    from latex2sympy2_extended.latex2sympy2 import (  # type: ignore[import-untyped]
        convert_to_pct,
        normalize_latex,
    )
    from math_verify import LatexExtractionConfig
    from math_verify.parser import parse_latex_cached

    spelling = replace(LatexExtractionConfig().normalization_config, boxed="none")

    def read(text: str) -> list[Any]:
        if _BOX.search(text):
            return []
        bare = text.removesuffix("%").removesuffix("\\").rstrip()
        is_percentage = text.endswith("%") and bare != ""
        try:
            latex = normalize_latex(bare if is_percentage else text, spelling)
            value = parse_latex_cached(latex)
            return [convert_to_pct(value) if is_percentage else value, latex]
        except Exception:
            return []

    return read


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
    would equal every small number. For the same reason numbers that are not 0 are compared relative to their size.

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
    # of a value that is 0, rounding errors may be left
    is_any_zero = bool(symbols) or ours.is_zero is not False or theirs.is_zero is not False
    scale = max(1.0, size) if is_any_zero or min(abs(first), abs(second)) < _NOTHING else size
    return size < _MUCH and difference > 1e-6 * scale


def _is_plain(value: Any) -> bool:
    """Whether math-verify has no rules of its own for it, as for bare symbols and percentages."""
    from sympy import Expr, Symbol, UnevaluatedExpr
    from sympy.concrete.expr_with_limits import ExprWithLimits

    if not isinstance(value, Expr) or isinstance(value, Symbol) or getattr(value, "is_Matrix", False):
        return False
    return not value.has(UnevaluatedExpr, ExprWithLimits)

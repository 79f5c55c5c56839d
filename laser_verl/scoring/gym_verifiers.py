"""The verifiers of reasoning-gym as a scorer: a row's gold is a problem of the library, whose own verifier judges.

It runs in the processes of `pool.py`, ended at the limits on time and memory. Some verifiers hand the answer, or the
problem, to `eval`, or to sympy's `parse_expr`, which does the same: no limit helps against what may stand there, so
theirs are replaced by `ast.literal_eval`, and by ones that take nothing but arithmetic and known functions. Which ones
do was read in one release of the library, so that no other is accepted.
"""

import ast
import functools
import importlib
import json
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import Any, Final

RELEASE: Final = "0.1.25"
"""The release of reasoning-gym whose verifiers were read."""

READING_LITERALS: Final = (
    "algorithmic.binary_matrix",
    "algorithmic.number_sorting",
    "algorithmic.spiral_matrix",
    "algorithmic.string_insertion",
    "games.n_queens",
)
"""Its modules whose verifiers call `eval` on what should be a list."""

CALCULATING: Final = ("arithmetic.bitwise_arithmetic",)
"""Its modules whose verifiers call `eval` on what should be arithmetic."""

PARSING: Final = ("games.countdown", "games.puzzle24")
"""Its modules whose verifiers call their `parse_expr`."""

PARSING_BY_SYMPY: Final = {
    "algebra.intermediate_integration": "sympy",
    "algebra.polynomial_multiplication": "sp",
    "algebra.simple_integration": "sympy",
}
"""Its modules whose verifiers call `sympy.parse_expr`, with their name for sympy."""

FULL_MARKS: Final = 1.0
"""What a verifier gives a right answer; less is partial credit, which is no right answer."""

_FIELDS: Final = ("task", "parameters", "question", "answer", "metadata")
_REMEDY: Final = "write the data by `laser-verl prepare reasoning_gym`"

# Their verifiers compare with tuples, of which JSON makes lists.
_OF_TUPLES: Final = ("arc_agi", "rearc")

# No quotes, brackets, underscores or attributes; names of one letter are symbols. Possessive, so that nothing is read
# in two ways.
_FUNCTIONS: Final = "sqrt|exp|log|ln|a?(?:sin|cos|tan|sec|csc|cot)h?|[Aa]bs|pi|oo"
_FORMULA = re.compile(rf"(?:[0-9]++(?:\.[0-9]*+)?+|\.[0-9]++|\b(?:{_FUNCTIONS}|[A-Za-z])\b|[-+*/^(),\s])*+")
_OPERATORS: Final = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}


def gold_of(task: str, parameters: Mapping[str, Any], entry: Mapping[str, Any]) -> str:
    """Write a problem as the gold of its row.

    Args:
        task: Name of the library's data set, e.g. "chain_sum".
        parameters: What it was made with.
        entry: One item of it: question, answer, metadata.

    Returns:
        JSON, the same for the same problem.

    Raises:
        TypeError: If the problem holds what JSON does not carry.
    """
    values = {"task": task, "parameters": parameters, **{name: entry.get(name) for name in _FIELDS[2:]}}
    return json.dumps(values, ensure_ascii=True, separators=(",", ":"))


def own_answer(gold: str) -> str | None:
    """Return the library's own answer to the problem of a gold; None where it has none, as where many are right."""
    answer = json.loads(gold)["answer"]
    return None if answer is None else str(answer)


def check_gold(gold: str) -> str | None:
    """Say what keeps a gold from being verified, None for nothing."""
    try:
        problem = json.loads(gold)
    except ValueError:
        problem = None
    if not isinstance(problem, dict) or any(name not in problem for name in _FIELDS):
        return f"is no problem of reasoning-gym; {_REMEDY}"
    return missing_library()


@functools.cache
def missing_library() -> str | None:
    """Say what is wrong with the installed reasoning-gym, None for nothing."""
    try:
        found = metadata.version("reasoning-gym")
    except metadata.PackageNotFoundError:
        found = "none"
    if found == RELEASE:
        return None
    return (
        f"needs reasoning-gym {RELEASE}, and {found} is installed; pip install 'laser-verl[data]' on every node: the "
        "verifiers of other releases were not read for whether they run an answer as code"
    )


def load_judge() -> Callable[[Sequence[str], str], str]:
    """Import the library, keep its verifiers from evaluating answers, and return the comparison.

    Returns:
        A function of (golds, answer) that gives "equal" where the verifier of the one gold gives full marks, else
        "different", or "unparseable" where it fails on the answer.

    Raises:
        RuntimeError: If another release is installed, or none.
    """
    if problem := missing_library():
        raise RuntimeError(problem)
    library = importlib.import_module("reasoning_gym")
    _keep_from_evaluating()

    @functools.lru_cache(maxsize=64)
    def verifier(task: str, parameters: str) -> Any:
        return library.create_dataset(task, **json.loads(parameters)).score_answer

    def judge(golds: Sequence[str], answer: str) -> str:
        (gold,) = golds
        entry = json.loads(gold)
        if entry["task"] in _OF_TUPLES:
            entry["metadata"] = _as_tuples(entry["metadata"])
        verify = verifier(entry["task"], json.dumps(entry["parameters"]))
        try:
            marks = verify(answer, entry)
        except MemoryError:
            raise
        except Exception:  # a text that the library did not expect
            return "unparseable"
        return "equal" if marks >= FULL_MARKS else "different"

    return judge


def _keep_from_evaluating() -> None:
    import sympy  # type: ignore[import-untyped]

    for name in READING_LITERALS:
        vars(_module(name))["eval"] = ast.literal_eval
    for name in CALCULATING:
        vars(_module(name))["eval"] = _calculate
    for name in PARSING:
        vars(_module(name))["parse_expr"] = _parse_formula
    for name, alias in PARSING_BY_SYMPY.items():
        vars(_module(name))[alias] = _Sympy(sympy)


def _module(name: str) -> Any:
    return importlib.import_module(f"reasoning_gym.{name}")


class _Sympy:
    """sympy, as those modules see it: with another `parse_expr`."""

    def __init__(self, sympy: Any) -> None:
        self._sympy = sympy

    def __getattr__(self, name: str) -> Any:
        return _parse_formula if name == "parse_expr" else getattr(self._sympy, name)


def _calculate(text: str) -> int:
    return _value(ast.parse(text.strip(), mode="eval").body)


def _value(node: ast.expr) -> int:
    match node:
        case ast.Constant(value=int(number)):
            return number
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(operand))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left), _value(right))
    raise ValueError("no arithmetic of integers")


def _parse_formula(text: str, *arguments: Any, **options: Any) -> Any:
    from sympy.parsing.sympy_parser import parse_expr  # type: ignore[import-untyped]

    if not _FORMULA.fullmatch(text):
        raise ValueError("no formula")
    return parse_expr(text, *arguments, **options)


def _as_tuples(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_as_tuples, value))
    return {key: _as_tuples(item) for key, item in value.items()} if isinstance(value, dict) else value

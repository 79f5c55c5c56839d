r"""The fast layers of answer equality: verdicts that need no symbolic algebra.

Each answers only where math-verify would say the same, or where the difference is meant (docs/scoring.md lists them).
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Final

from laser_verl.scoring.hedges import is_hedged
from laser_verl.scoring.readings import Assignment, Collection, Reading, Scalar, Word, plain, read
from laser_verl.scoring.verdict import Layer

# math-verify compares decimals rounded to 6 places: values further apart than this never round to the same.
_SURELY_APART: Final = Fraction(1, 10**6)
# And so close relative to their size, or else 0.0 would equal every small number.
_CLOSE: Final = Fraction(1, 1000)
# Constants whose floats differ by more than this, relative to their size, are apart beyond rounding.
_FLOAT_APART: Final = 1e-9


def compare(gold: str, answer: str) -> tuple[bool, Layer] | None:
    r"""Compare two answers without symbolic algebra.

    Args:
        gold: A gold answer, normalised.
        answer: The model's answer, normalised.

    Returns:
        Whether they are equal, and the layer that says so; None where math-verify has to decide. E.g. (`1/2`, `0.50`):
        (True, "number"); (`(1, 2)`, `(1,3)`): (False, "structure"); (`\sin x`, `x`): None.
    """
    if gold == answer or plain(gold) == plain(answer):
        return True, "text"
    if is_hedged(gold, answer):
        return False, "text"
    ours, theirs = read(gold), read(answer)
    if ours is None or theirs is None:
        return None
    is_equal = _equal(ours, theirs)
    return None if is_equal is None else (is_equal, _layer(ours, theirs))


def _layer(ours: Reading, theirs: Reading) -> Layer:
    if isinstance(ours, Word) and isinstance(theirs, Word):
        return "text"
    if isinstance(ours, Collection) or isinstance(theirs, Collection):
        return "structure"
    values = [item.value if isinstance(item, Assignment) else item for item in (ours, theirs)]
    is_numbers = all(isinstance(value, Scalar) and value.value.rational is not None for value in values)
    return "number" if is_numbers else "expression"


def _equal(ours: Reading, theirs: Reading) -> bool | None:
    if isinstance(ours, Assignment) and isinstance(theirs, Assignment):
        return _equal_assignments(ours, theirs)
    if isinstance(ours, Assignment):
        ours = ours.value
    if isinstance(theirs, Assignment):
        theirs = theirs.value
    if isinstance(ours, Word) or isinstance(theirs, Word):
        return _equal_words(ours, theirs)
    if isinstance(ours, Scalar) and isinstance(theirs, Scalar):
        return _equal_scalars(ours, theirs)
    if isinstance(ours, Collection) and isinstance(theirs, Collection):
        return _equal_collections(ours, theirs)
    collection, scalar = (ours, theirs) if isinstance(ours, Collection) else (theirs, ours)
    assert isinstance(collection, Collection)
    assert isinstance(scalar, Scalar)
    return _is_only_member(collection, scalar)


def _equal_assignments(ours: Assignment, theirs: Assignment) -> bool | None:
    first, second = ours.value, theirs.value
    if ours.name != theirs.name or first.is_decimal or second.is_decimal or first.percent or second.percent:
        return None
    if not (first.value.is_constant and second.value.is_constant):
        return None
    return _equal_scalars(first, second)


def _equal_words(ours: Reading, theirs: Reading) -> bool | None:
    if isinstance(ours, Word) and isinstance(theirs, Word):
        return ours.text == theirs.text
    word, other = (ours, theirs) if isinstance(ours, Word) else (theirs, ours)
    assert isinstance(word, Word)
    if isinstance(other, Collection):
        return None
    assert isinstance(other, Scalar)
    # a word is a symbol to math-verify, or the product of its letters; e and i are numbers
    is_number = other.value.rational is not None and word.text not in ("e", "i")
    return False if is_number else None


def _equal_scalars(ours: Scalar, theirs: Scalar) -> bool | None:
    if ours.value == theirs.value:
        is_bare = ours.value.is_product_of_symbols  # two ways to write a symbol: not always the same to math-verify
        return None if is_bare else True
    first, second = ours.value.rational, theirs.value.rational
    if ours.is_decimal or theirs.is_decimal:
        return _equal_decimals(ours, theirs)
    if first is not None and second is not None:
        if ours.percent is None and theirs.percent is None:
            return False
        # 9 % is also accepted for 9
        return _raw(ours) == _raw(theirs) and _raw(ours).denominator == 1
    if ours.value.is_constant and theirs.value.is_constant:
        return False if _apart(ours, theirs) > _FLOAT_APART else None
    return False


def _raw(scalar: Scalar) -> Fraction:
    """The rational number before the percent sign, or without one."""
    return (scalar.value.rational or Fraction(0)) if scalar.percent is None else scalar.percent


def _equal_decimals(ours: Scalar, theirs: Scalar) -> bool | None:
    first, second = ours.value.rational, theirs.value.rational
    if first is not None and second is not None:
        # a percent sign may be passed over
        return None if _may_round(first, second) or _may_round(_raw(ours), _raw(theirs)) else False
    if ours.value.is_constant and theirs.value.is_constant:
        difference = abs(ours.value.approximate() - theirs.value.approximate())
        return False if difference > 2 * _SURELY_APART and _apart(ours, theirs) > _FLOAT_APART else None
    return False


def _may_round(first: Fraction, second: Fraction) -> bool:
    difference = abs(first - second)
    return difference <= min(_SURELY_APART, _CLOSE * max(abs(first), abs(second)))


def _apart(ours: Scalar, theirs: Scalar) -> float:
    """Difference of two constants, relative to the largest term of either."""
    terms = [*ours.value.terms.items(), *theirs.value.terms.items()]
    largest = max(abs(float(factor)) * radicand for (radicand, _), factor in terms)
    return abs(ours.value.approximate() - theirs.value.approximate()) / max(1.0, largest)


def _equal_collections(ours: Collection, theirs: Collection) -> bool | None:
    if ours.kind == theirs.kind == "{}":
        return _equal_sets(ours.items, theirs.items)
    if "{}" in (ours.kind, theirs.kind):
        return None
    if ours.kind == theirs.kind:
        if len(ours.items) != len(theirs.items):
            return False
        return _all(_equal_scalars(a, b) for a, b in zip(ours.items, theirs.items, strict=True))
    if _is_interval(ours) and _is_interval(theirs):
        return False
    return None


def _equal_sets(ours: Sequence[Scalar], theirs: Sequence[Scalar]) -> bool | None:
    if not all(item.value.is_constant for item in (*ours, *theirs)):
        return None
    first, second = {item.value for item in ours}, {item.value for item in theirs}
    if first == second:
        return True
    if any(item.is_decimal for item in (*ours, *theirs)):
        return None
    if len(first) != len(second):
        return False
    pairs = zip(_in_order(first), _in_order(second), strict=True)
    return _all(_equal_scalars(Scalar(a), Scalar(b)) for a, b in pairs)


def _in_order(values: set) -> list:
    return sorted(values, key=lambda value: value.approximate())


def _is_only_member(collection: Collection, scalar: Scalar) -> bool | None:
    """A set of one value is that value to math-verify; no longer tuple and no interval is."""
    items = {item.value for item in collection.items}
    if collection.kind == "{}" and len(items) == 1:
        return _equal_scalars(collection.items[0], scalar)
    has_decimals = scalar.is_decimal or any(item.is_decimal for item in collection.items)
    if len(items) == 1 or has_decimals or not all(item.is_constant for item in items):
        return None
    return False


def _is_interval(collection: Collection) -> bool:
    if len(collection.items) != 2:
        return False
    start, end = (item.value for item in collection.items)
    return start.is_constant and end.is_constant and start.approximate() < end.approximate()


def _all(verdicts: object) -> bool | None:
    """False if one is False, else None if one is None, else True."""
    found = list(verdicts)  # type: ignore[call-overload]
    return False if False in found else None if None in found else True

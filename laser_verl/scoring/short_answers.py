r"""Short answers that need no algebra: bare text, the letter of a choice, a number. Bounded text, linear scans."""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

MAX_CHARACTERS: Final = 1000
"""A longer text is neither a letter nor a number."""

MAX_DIGITS: Final = 100
MAX_EXPONENT: Final = 1000

_TEXT: Final = r"\\(?:text(?:bf|it|rm|sf|tt|normal)?|math(?:bf|it|rm|sf)|mbox)\s*\{"
_WRAPPER = re.compile(_TEXT)
_BRACES = re.compile(r"\\.|[{}]", re.DOTALL)
_SPACING = re.compile(r"\\(?:q?quad(?![A-Za-z])|[ ,;:])|~|\s+")
_MOST_WRAPPERS: Final = 3


def bare_text(text: str) -> str:
    r"""Take the text out of the commands that only set it, where they hold all of it.

    Args:
        text: Normalised answer or gold.

    Returns:
        The text. E.g. `\textbf{New  York}`: `New York`.
    """
    for _ in range(_MOST_WRAPPERS):
        opened = _WRAPPER.match(text)
        if opened is None or _closing(text, opened.end()) != len(text) - 1:
            break
        text = text[opened.end() : -1].strip()
    return " ".join(text.split())


def _closing(text: str, start: int) -> int:
    """Where the brace that was opened before `start` is closed; -1 for nowhere."""
    depth = 1
    for match in _BRACES.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(match.group(), 0)
        if depth == 0:
            return match.start()
    return -1


# `(C)`, `C)`, `C.`, `C:` or `C`, and then what the choice says; a letter in a command needs no mark beside it.
_PLAIN = re.compile(r"(?:\(\s*([A-Za-z])\s*\)|([A-Za-z])\s*(?:\)|[.:](?=\s|$)|$))(.*)", re.DOTALL)
_SET = re.compile(rf"\(?\s*{_TEXT}\s*\(?\s*([A-Za-z])\s*[).:]?\s*\}}\s*[).:]*(.*)", re.DOTALL)


def _second(letters: str) -> re.Pattern[str]:
    """What makes the rest of a choice name another one: it begins with a letter, or holds a marked one."""
    joined = rf"(?:[,;/&]|\\&|and\b|or\b)\s*\(?\s*{letters}(?![A-Za-z0-9])"
    marked = rf"(?<![A-Za-z0-9\\])\({letters}\)|(?<![^\s,;/&]){letters}(?:\)|[.:](?=\s|$))"
    # after a digit it is a unit
    in_command = rf"(?<![0-9])(?<![0-9] ){_TEXT}\s*\(?\s*{letters}\s*[).:]?\s*\}}"
    return re.compile(rf"\A\s*(?:{joined}|{letters}\s*$)|{marked}|{in_command}")


# Of the same case, so that the `(x)` of `C) g (x)` or the metre of `C) 12 m` is no second choice.
_SECOND_UPPER, _SECOND_LOWER = _second("[A-Z]"), _second("[a-z]")


# The text of a choice may speak of the others (`Both A and B`), or begin with a word of one capital (`A cone`).
_SPEAKS_OF_OTHERS = re.compile(r"[\s,.:;]*(?:both|neither|all|none)\b", re.IGNORECASE)
_FIRST_WORD = re.compile(
    r"\A[\s.:]*[AI](?= [a-z]{2,})(?! (?:and|are|as|but|if|is|may|maybe|nor|not|or|plus|then|too|vs|with)\b)"
)
_DRESS = re.compile(rf"{_TEXT}|[{{}}$]")
_DEGREES = re.compile(r"\^?\s*\{?\s*\\circ(?![A-Za-z])\s*\}?")
_LETTER: Final = r"[^\W\d_]"
# After a digit it is a unit, and with an index, a power or an equals sign a part of a formula.
_LONE = re.compile(
    rf"(?<!{_LETTER})(?<!\\)(?<![0-9])(?<![0-9] )([A-Z])(?!{_LETTER}|\s?[=^]|[0-9_]|-[a-z]{{2}})",
)
_SMALL = re.compile(r"(?:[,;/&]|\\&|\\(?:lor|vee|cup)\b|and\b|or\b)\s*\(?\s*([a-z])\s*(?:\)|\Z)|\(\s*([a-z])\s*\)")
_CHOICES: Final = "ABCDE"


def names_another(letter: str, rest: str) -> bool:
    r"""Whether what a choice says names another choice, by a letter that stands alone.

    Args:
        letter: The choice, in upper case.
        rest: What follows it.

    Returns:
        True for another capital up to E, or up to the letter itself, and for a small one in brackets right behind. E.g.
        ("A", " but B is also right"), ("A", " or (b)"): True; ("A", " 5 C"), ("B", " A cone"), ("C", " Both A and B"),
        ("D", " E = mc^2"): False.
    """
    others = frozenset(_CHOICES + "".join(map(chr, range(ord("F"), ord(letter))))) - {letter}
    rest = " ".join(_DRESS.sub(" ", _DEGREES.sub("", rest)).split())
    small = _SMALL.match(rest)
    if small is not None and (small[1] or small[2]).upper() in others:
        return True
    if _SPEAKS_OF_OTHERS.match(rest):
        return False
    return any(found in others for found in _LONE.findall(_FIRST_WORD.sub("", rest)))


def read_letter(text: str) -> str | None:
    r"""Read the one letter of a choice.

    Args:
        text: Normalised answer or gold.

    Returns:
        The letter in upper case; None where there is none, or a second one. E.g. `\textbf{(C)}\ 12`: "C"; `A and C`:
        None; `C) 12 cm`: "C".
    """
    choice = _read_choice(text)
    return choice and choice[0]


def _read_choice(text: str) -> tuple[str, str] | None:
    """The letter in upper case and what follows it."""
    if len(text) > MAX_CHARACTERS:
        return None
    text = bare_text(_SPACING.sub(" ", text).strip())
    found = _PLAIN.fullmatch(text) or _SET.fullmatch(text)
    if found is None:
        return None
    *letters, rest = found.groups()
    letter = next(filter(None, letters))
    second = _SECOND_UPPER if letter.isupper() else _SECOND_LOWER
    return None if second.search(_DEGREES.sub("", rest)) else (letter.upper(), rest)


@dataclass(frozen=True)
class Number:
    """A number as it was written.

    Args:
        value: Its exact value; of a percentage a hundredth of what stands before the sign.
        is_percent: It ends in a percent sign.
    """

    value: Fraction
    is_percent: bool = False

    @property
    def readings(self) -> tuple[Fraction, ...]:
        """What it may mean beside a number of the other kind: 50% is 1/2, and 50 of a hundred."""
        return (self.value, self.value * 100) if self.is_percent else (self.value,)


_DIGITS: Final = r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,3}(?: [0-9]{3})+|[0-9]+)"
_DECIMAL: Final = rf"(?:{_DIGITS}(?:\.[0-9]*)?|\.[0-9]+)"
_SIGNED: Final = rf"[+-]?\s*{_DECIMAL}"
_TEN: Final = r"10\s*\^\s*(?:\{\s*([+-]?[0-9]+)\s*\}|([+-]?[0-9]+))"
_SCIENTIFIC = re.compile(
    rf"([+-]?)\s*(?:({_DECIMAL})(?:\s*[eE]([+-]?[0-9]+)|\s*(?:\\times|\\cdot|[×·*])\s*{_TEN})?|{_TEN})"
)
_QUOTIENT = re.compile(
    rf"([+-]?)\s*(?:({_SIGNED})\s*/\s*({_SIGNED})|"
    rf"\\[dtc]?frac\s*\{{\s*({_SIGNED})\s*\}}\s*\{{\s*({_SIGNED})\s*\}})"
)
# A unit holds no digit: `5\text{ or 7}` is not five of something.
_UNIT = re.compile(rf"\s*(?:\^\s*\{{?\\circ\}}?)?\s*(?:{_TEXT}[^{{}}0-9]*\}}(?:\^\s*\{{?-?[1-9]\}}?)?)?$")
_PERCENT = re.compile(r"\s*\\?%$")


def read_number(text: str) -> Number | None:
    r"""Read an integer, decimal, quotient or number in scientific notation, exactly.

    Separators of thousands are read, a percent sign too, and a unit at the end in `\text{}` is left out.

    Args:
        text: Normalised answer or gold.

    Returns:
        The number; None for anything else, beyond `MAX_DIGITS` digits, or with a power of ten beyond `MAX_EXPONENT`.
        E.g. `1.5\times10^{-3}\text{ m}`: 3/2000.
    """
    if len(text) > MAX_CHARACTERS or sum(character.isdigit() for character in text) > MAX_DIGITS:
        return None
    text = text.replace("{,}", ",").replace(r"\!", "").replace("−", "-")
    text = bare_text(_SPACING.sub(" ", text).strip())
    text = _UNIT.sub("", text)
    bare = _PERCENT.sub("", text)
    value = _value(bare.strip())
    if value is None:
        return None
    return Number(value / 100, is_percent=True) if bare != text else Number(value)


def _value(text: str) -> Fraction | None:
    if found := _SCIENTIFIC.fullmatch(text):
        sign, mantissa, *powers = found.groups()
        exponent = int(next(filter(None, powers), "0"))
        if abs(exponent) > MAX_EXPONENT:
            return None
        return _fraction(sign + (mantissa or "1")) * Fraction(10) ** exponent
    if found := _QUOTIENT.fullmatch(text):
        sign, *parts = found.groups()
        above, below = (_fraction(part) for part in parts if part is not None)
        return _fraction(sign + "1") * above / below if below else None
    return None


def _fraction(text: str) -> Fraction:
    return Fraction(text.replace(",", "").replace(" ", ""))


def same_text(gold: str, answer: str) -> bool:
    r"""Compare as text, upper and lower case distinct.

    Args:
        gold: Normalised gold.
        answer: Normalised answer.

    Returns:
        Whether they are the same but for white space and commands that set text. E.g. ("Rome", `\text{Rome}`): True.
    """
    return bare_text(gold) == bare_text(answer)


def same_choice(gold: str, answer: str) -> bool:
    """Compare as choices of one letter.

    Args:
        gold: Normalised gold.
        answer: Normalised answer.

    Returns:
        Whether both name the same letter, and the answer no other, unless it is the very text of the gold. E.g. ("C",
        "(c) 12 cm"): True; ("C", "A, C"), ("C", "(C) or maybe B"): False.
    """
    choice = _read_choice(answer)
    if choice is None or choice[0] != read_letter(gold):
        return False
    return same_text(gold, answer) or not names_another(*choice)


@dataclass(frozen=True)
class Within:
    """Compares numbers exactly: |answer - gold| <= max(absolute, relative * |gold|).

    Args:
        relative: Tolerance as a share of the gold, 0 or more.
        absolute: Tolerance in the unit of the gold, percent points for a percentage, 0 or more.
    """

    relative: Fraction
    absolute: Fraction

    def __call__(self, gold: str, answer: str) -> bool:
        r"""Whether the answer is a number within the tolerance.

        Args:
            gold: Normalised gold.
            answer: Normalised answer.

        Returns:
            False also where one of them is no number. With relative 1/100, ("9.81", "9.9"): True, 0.09 <= 0.0981.
            Where only one is a percentage, 50% may be 50 or 1/2.
        """
        ours, theirs = read_number(gold), read_number(answer)
        if ours is None or theirs is None:
            return False
        if ours.is_percent == theirs.is_percent:
            unit = 100 if ours.is_percent else 1
            return self._is_near(ours.value * unit, theirs.value * unit)
        if ours.is_percent:  # 50%: an answer without the sign may be 50 or 1/2, the tolerance is in percent points
            return any(self._is_near(ours.value * 100, answer) for answer in (theirs.value, theirs.value * 100))
        return any(self._is_near(ours.value, answer) for answer in theirs.readings)

    def _is_near(self, gold: Fraction, answer: Fraction) -> bool:
        return abs(answer - gold) <= max(self.absolute, self.relative * abs(gold))

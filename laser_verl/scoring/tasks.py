"""What compares a gold with an answer: mathematics or another scorer, chosen by a row's `data_source`."""

import difflib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final

from laser_verl.scoring import gym_verifiers
from laser_verl.scoring.answers import Gold, gold_answers
from laser_verl.scoring.short_answers import Within, bare_text, read_letter, read_number, same_choice, same_text

Judge = Callable[[str, str], bool]
"""Says of a gold and an answer, both normalised, whether they are equal."""


@dataclass(frozen=True)
class Verifier:
    """A judge that gets gold and answer as they were written, in a process that is killed at the limits.

    Args:
        judging: Module whose `load_judge` gives what compares them there.
    """

    judging: str


DEFAULT: Final = "default"
"""The entry for every source that has no other."""

SHIPPED: Final[Mapping[str, str]] = dict.fromkeys(
    (
        "openai/gsm8k",
        "lighteval/MATH",
        "DigitalLearningGmbH/MATH-lighteval",
        "HuggingFaceH4/MATH-500",
        "hiyouga/geometry3k",
        "math",
        "math_dapo",
        "math_dapo_reasoning",
        "agentica-org/DeepScaleR-Preview-Dataset",
        "deepscaler",
        "open-r1/OpenR1-Math-220k",
        "train-math-*",
        "aime*",
        "amc23",
        "math500",
        "numina_*",
        "olympiadbench",
        "tiny_world/*",
    ),
    "math",
) | {"reasoning_gym/*": "reasoning_gym"}
"""Scorers of the sources that verl itself scores as mathematics, and of those that `laser-verl prepare` writes; `*`
stands for any end."""

# verl scores these by running the answer as a program or against what a search found; the gold is no answer.
_CODE_SOURCES = ("codecontests", "apps", "codeforces", "taco")
_SEARCH_PREFIX = "searchR1_"


def _any_gold(_: str) -> str | None:
    return None


@dataclass(frozen=True)
class Function:
    """A user's own function, as verl's `custom_reward_function` names one.

    Args:
        path: `pkg://module` or the path of a Python file.
        name: The function there.
    """

    path: str
    name: str


@dataclass(frozen=True)
class Task:
    """How the answers of a source are judged.

    Args:
        name: Name of the scorer.
        judge: Compares a gold with an answer; None leaves it to the layers of mathematics, or to `function`.
        check_gold: Says of a normalised gold what is wrong with it, None for nothing.
        function: Takes the place of the whole verdict.
    """

    name: str
    judge: Judge | Verifier | None = None
    check_gold: Callable[[str], str | None] = _any_gold
    function: Function | None = None


def read_golds(judge: Judge | Verifier | None, gold: Gold | None, row: object = None) -> list[str]:
    """Turn the gold of a data row into what its judge compares with; raises as `answers.gold_answers`.

    Args:
        judge: Of the row's `Task`.
        gold: The row's gold.
        row: What names the row in an error.

    Returns:
        One or more texts: normalised, but for a `Verifier` as it was written.
    """
    return [gold] if isinstance(judge, Verifier) and isinstance(gold, str) else gold_answers(gold, row)


def _check_text(gold: str) -> str | None:
    return None if bare_text(gold) else "is empty for the scorer exact; give the text of the answer"


def _check_letter(gold: str) -> str | None:
    return None if read_letter(gold) else 'is no choice for the scorer multiple_choice; give one letter, e.g. "C"'


def _check_number(gold: str) -> str | None:
    return None if read_number(gold) else 'is no number for the scorer numeric; give e.g. "9.81", "3/4" or "1.5e-3"'


MATH: Final = Task("math")
_SIMPLE: Final[Mapping[str, Task]] = {
    "math": MATH,
    "exact": Task("exact", same_text, _check_text),
    "multiple_choice": Task("multiple_choice", same_choice, _check_letter),
}
GYM: Final = Task("reasoning_gym", Verifier(gym_verifiers.__name__), gym_verifiers.check_gold)
_TOLERANCES: Final = ("relative_tolerance", "absolute_tolerance")
SCORERS: Final = (*_SIMPLE, "numeric")


def build(entry: object, where: str = "scorer") -> Task:
    """Make the scorer that an entry of the configuration asks for.

    Args:
        entry: A name of `SCORERS`; a mapping with `scorer` and its options; or `{path: FILE, name: FUNCTION}`.
        where: What the user calls the entry.

    Returns:
        The scorer. `build({"scorer": "numeric", "absolute_tolerance": 0.1})` takes 9.9 for 10, and not 9.8.

    Raises:
        ValueError: If the entry names no scorer, or an option is unknown, missing or of the wrong kind.
    """
    given = {"scorer": entry} if isinstance(entry, str) else entry
    if not isinstance(given, Mapping) or not ("scorer" in given or "path" in given):
        raise ValueError(
            f"{where}={entry!r:.80} must be one of {', '.join(SCORERS)}, a mapping such as {{scorer: numeric, "
            "relative_tolerance: 0.01}, or a function of yours as {path: FILE, name: FUNCTION}"
        )
    if "path" in given:
        return _function(given, where)
    name = given["scorer"]
    if name not in SCORERS:
        raise ValueError(
            _unknown(
                f"{where}={name!r:.80}" if isinstance(entry, str) else f"{where}.scorer={name!r:.80}", name, SCORERS
            )
        )
    _refuse_others(given, ("scorer", *(_TOLERANCES if name == "numeric" else ())), where)
    return _SIMPLE[str(name)] if name in _SIMPLE else _numeric(given, where)


def _function(given: Mapping[str, Any], where: str) -> Task:
    _refuse_others(given, ("path", "name"), where)
    function = Function(given["path"], given.get("name", "compute_score"))
    for key, value in (("path", function.path), ("name", function.name)):
        if not isinstance(value, str) or not value:
            raise ValueError(f"{where}.{key}={value!r:.80} must be a text; give e.g. {{path: judge.py, name: score}}")
    return Task(f"{function.name} of {function.path}", function=function)


def _numeric(given: Mapping[str, Any], where: str) -> Task:
    if not any(name in given for name in _TOLERANCES):
        raise ValueError(
            f"{where}: the scorer numeric has no tolerance; give one of {', '.join(_TOLERANCES)}, e.g. {{scorer: "
            "numeric, relative_tolerance: 0.01}; 0 asks for equal numbers"
        )
    for name in _TOLERANCES:
        value = given.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e9:
            raise ValueError(f"{where}.{name}={value!r:.80} must be a number from 0 to 1e9; give e.g. {name}: 0.01")
    # repr: the decimal that the user wrote, not the binary fraction beside it
    relative, absolute = (Fraction(repr(given.get(name, 0))) for name in _TOLERANCES)
    return Task("numeric", Within(relative, absolute), _check_number)


def _refuse_others(given: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    for key in given:
        if key not in known:
            raise ValueError(_unknown(f"{where}.{key}", key, known))


def _unknown(what: str, name: object, known: Iterable[str]) -> str:
    names = list(known)
    close = difflib.get_close_matches(str(name).lower(), names, n=1, cutoff=0.5)
    return f"{what} is unknown; known: {', '.join(names)}" + (f"; did you mean {close[0]!r}?" if close else "")


@dataclass(frozen=True)
class Scorers:
    """Which scorer a source has.

    Args:
        entries: The user's own by source (`*` at its end stands for any end), and perhaps under `DEFAULT`.
    """

    entries: Mapping[str, Task] = field(default_factory=dict)

    def entry_of(self, source: object) -> str | None:
        """Name the user's own entry that a source falls under, the default apart.

        Args:
            source: A row's `data_source`.

        Returns:
            The name as the user wrote it: the source's own, or else the longest beginning followed by `*`; None
            without either. E.g. "phys*" for "physics" where the user named "p*" and "phys*".
        """
        return covering(str(source), self.entries.keys() - {DEFAULT})

    def find(self, source: object) -> Task | None:
        """Look up a source: the user's own entry, then what is shipped, then the user's default.

        Args:
            source: A row's `data_source`.

        Returns:
            Its scorer, None where it has none. A default other than a function does not stand in for the sources whose
            gold is no answer (`is_run_or_searched`). E.g. `Scorers().find("aime24")`: `MATH`.
        """
        name = str(source)
        if (own := self.entry_of(name)) is not None:
            return self.entries[own]
        if (shipped := covering(name, SHIPPED)) is not None:
            return GYM if SHIPPED[shipped] == GYM.name else _SIMPLE[SHIPPED[shipped]]
        default = self.entries.get(DEFAULT)
        return None if default is not None and is_run_or_searched(name) and default.function is None else default

    def explain_missing(self, source: object, key: str) -> str:
        """Say why a source has no scorer, and what to do about it.

        Args:
            source: A row's `data_source`.
            key: Config key of the mapping.

        Returns:
            What goes on after the name of the row. E.g. `Scorers().explain_missing("apps", "scorers")`: "has no scorer:
            apps is scored by running code or by search, …".
        """
        if is_run_or_searched(str(source)):
            return (
                f"has no scorer: {source} is scored by running code or by search, and scorers compare answers; leave "
                "these rows out, or give them to a function of yours under a reward manager of laser_verl, as "
                f"+reward.reward_kwargs.scorers={{{source}: {{path: FILE, name: FUNCTION}}}}"
            )
        known = ", ".join((*self.entries, *SHIPPED))
        return f"has no scorer; known are {known}; name one for all the rest by +{key}.{DEFAULT}=math"

    @property
    def functions(self) -> set[Function]:
        """The users' functions among them."""
        return {task.function for task in self.entries.values() if task.function is not None}


def covering(source: str, names: Collection[str]) -> str | None:
    """Find the name that stands for a source.

    Args:
        source: A row's `data_source`.
        names: Sources, or their beginnings followed by `*`.

    Returns:
        The source itself, else the longest beginning, else None. E.g. "aime*" for "aime24".
    """
    if source in names:
        return source
    return max((name for name in names if name.endswith("*") and source.startswith(name[:-1])), key=len, default=None)


def is_run_or_searched(source: str) -> bool:
    """Whether verl scores a source by running the answer as a program, or against search results."""
    return source in _CODE_SOURCES or source.startswith(_SEARCH_PREFIX)


def read_scorers(given: object, where: str = "scorers") -> Scorers:
    """Read the mapping from sources to scorers.

    Args:
        given: `{SOURCE: ENTRY, default: ENTRY}` as `build` takes each entry, or None; a `*` at the end of a SOURCE
            stands for any end.
        where: What the user calls the mapping.

    Returns:
        The scorers.

    Raises:
        ValueError: If it is no mapping, or an entry is wrong.
    """
    if given is not None and not isinstance(given, Mapping):
        raise ValueError(
            f"{where}={given!r:.80} must be a mapping from data_source to scorer; give e.g. {{physics: exact}}"
        )
    if "*" in (given or {}):
        raise ValueError(f"{where}.* stands for every source; name the scorer of all the rest {where}.{DEFAULT}")
    return Scorers({str(source): build(entry, f"{where}.{source}") for source, entry in (given or {}).items()})

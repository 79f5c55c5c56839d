r"""The column layouts of data sets: where problem and gold answer stand in a row, and how they are read.

A layout is one entry of `LAYOUTS`; `table_layout` makes one from a user's own mapping of columns.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from laser_verl.commands import WrongUsage
from laser_verl.core.checks import unknown
from laser_verl.scoring.formats import last_boxed

FIELDS = ("problem", "gold", "golds", "difficulty", "budget", "data_source")
"""What a layout may say of a row; `golds` is a column of lists, each of acceptable answers."""

OPTIONAL = ("difficulty", "budget")
"""Those of them that a row may lack."""

_DAPO_BEFORE = (
    "Solve the following math problem step by step. The last line of your response should be of the form Answer: "
    "$Answer (without quotes) where $Answer is the answer to the problem."
)
_DAPO_AFTER = 'Remember to put your answer on its own line after "Answer:".'

# The MATH data set also has `\fbox{7}`, and `\boxed 7` of a single sign.
_OTHER_BOX = re.compile(r"\\fbox\s*(?=\{)")
_BARE_BOX = re.compile(r"\\boxed\s+([^\s{}$\\])")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where a data set has what.

    Attributes:
        name: As users write it.
        fields: Column by field of `FIELDS`; dots lead into structs and lists, as `prompt.0.content`.
        data_source: That of every row, unless a column has it.
        ability: What verl's column of this name holds.
        license: As the data set's own page states it.
        hub: Its name on the hub, None where it has none.
        files: Patterns of its training files within a folder; without any that fits, all files are read.
        template: The prompt template unless another is asked for.
        read: What makes a field's value of what its column holds; None is a missing value.
        left_out: (column, value, reason) of rows that are of no use, such as proofs.
    """

    name: str
    fields: Mapping[str, str]
    data_source: str
    ability: str = "math"
    license: str = "not stated"
    hub: str | None = None
    files: tuple[str, ...] = ()
    template: str = "paper"
    read: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    left_out: tuple[str, str, str] | None = None

    @property
    def has_lists(self) -> bool:
        """Whether golds are lists of acceptable answers."""
        return "golds" in self.fields

    @property
    def columns(self) -> set[str]:
        """Every path that is read."""
        return {*self.fields.values(), *(self.left_out or ())[:1]}

    @property
    def required(self) -> list[str]:
        """The paths that a row has to have."""
        return [path for name, path in self.fields.items() if name not in OPTIONAL]

    def values(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Read a row.

        Args:
            row: As it stands in the file.

        Returns:
            Value by field, None where it is missing.
        """
        found = {}
        for name, path in self.fields.items():
            value = lookup(row, path, None)
            found[name] = self.read[name](value) if name in self.read and value is not None else value
        return found

    def reason_to_leave_out(self, row: Mapping[str, Any]) -> str | None:
        """Why a row is of no use, None for most."""
        if self.left_out is None:
            return None
        column, value, reason = self.left_out
        return reason if str(lookup(row, column, "")).lower() == value else None

    def missing(self, row: Mapping[str, Any]) -> list[str]:
        """The paths of required fields that a row does not have, whatever their values."""
        nothing = object()
        return [path for path in self.required if lookup(row, path, nothing) is nothing]


def lookup(row: Any, path: str, default: Any) -> Any:
    """What stands in a row under a path.

    Args:
        row: A mapping, or what stands under the beginning of the path.
        path: A column, or one with dots that lead into mappings and lists; names that hold dots themselves are found.
        default: For a path that is not there.

    Returns:
        The value; None where something on the way is None. `lookup({"a": [{"b": 7}]}, "a.0.b", 0)` is 7.
    """
    if row is None:
        return None
    if isinstance(row, Mapping):
        if path in row:
            return row[path]
        ends = (match.start() for match in re.finditer(r"\.", path))
        for end in ends:
            if path[:end] in row:
                return lookup(row[path[:end]], path[end + 1 :], default)
    if isinstance(row, list):
        number, dot, rest = path.partition(".")
        if number.isdecimal() and int(number) < len(row):
            return lookup(row[int(number)], rest, default) if dot else row[int(number)]
    return default


def table_layout(columns: str | None, data_source: str | None) -> Layout:
    """The layout of a table of the user's own.

    Args:
        columns: `problem=COLUMN,gold=COLUMN`, and others of `FIELDS`.
        data_source: That of every row, unless a column has it; None takes mathematics.

    Returns:
        The layout; `table_layout("problem=question,gold=answer", None).fields["gold"]` is "answer".

    Raises:
        WrongUsage: If the mapping names an unknown field, or lacks the problem or the gold.
    """
    example = "e.g. --columns problem=question,gold=answer"
    if not columns:
        raise WrongUsage(f"table needs --columns, which says what column has what; {example}")
    fields: dict[str, str] = {}
    for part in columns.split(","):
        name, equals, column = (text.strip() for text in part.partition("="))
        if not equals or not column:
            raise WrongUsage(f"--columns {part!r} is no FIELD=COLUMN; {example}")
        if name not in FIELDS:
            raise WrongUsage(f"--columns: {unknown('field', name, FIELDS)}")
        fields[name] = column
    if "problem" not in fields or ("gold" in fields) == ("golds" in fields):
        raise WrongUsage(f"--columns {columns} must name problem, and one of gold and golds; {example}")
    if data_source and "data_source" in fields:
        raise WrongUsage("--data-source names one source for all rows, and --columns a column of them; leave out one")
    return Layout(name="table", fields=fields, data_source=data_source or "math")


def closest(row: Mapping[str, Any]) -> Layout | None:
    """The layout of a data set that a row fits best, None where it fits none."""
    nothing = object()

    def fit(layout: Layout) -> tuple[float, int]:
        number = sum(lookup(row, path, nothing) is not nothing for path in layout.columns)
        return number / len(layout.columns), number

    fitting = [layout for layout in LAYOUTS.values() if layout.hub and not layout.missing(row)]
    return max(fitting, key=fit, default=None)


def _without_dapo_instruction(text: Any) -> Any:
    return text.strip().removeprefix(_DAPO_BEFORE).removesuffix(_DAPO_AFTER).strip() if isinstance(text, str) else text


def _boxed(solution: Any) -> str | None:
    text = _OTHER_BOX.sub(r"\\boxed", str(solution))
    bare = _BARE_BOX.findall(text)
    return last_boxed(text) or (bare[-1] if bare else None)


def _after_hashes(solution: Any) -> str | None:
    _, marker, answer = str(solution).rpartition("####")
    return answer.replace(",", "").strip() if marker else None


def _level(text: Any) -> float | None:
    digits = re.search(r"[0-9]+", str(text))
    return float(digits.group()) if digits else None


def _json_list(text: Any) -> list[Any] | None:
    if isinstance(text, str):
        with contextlib.suppress(ValueError):  # one answer, not a list of them
            text = json.loads(text, parse_int=str, parse_float=str)
    return text if isinstance(text, list) else [text]


def number_or_none(value: Any) -> float | None:
    """A number, also one written as text; None for anything else, NaN included."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and not isinstance(value, bool) else None


def _named(*layouts: Layout) -> dict[str, Layout]:
    return {layout.name: layout for layout in layouts}


LAYOUTS: dict[str, Layout] = _named(
    Layout(
        name="deepscaler",
        hub="agentica-org/DeepScaleR-Preview-Dataset",
        files=("*deepscaler.json",),
        fields={"problem": "problem", "gold": "answer"},
        data_source="agentica-org/DeepScaleR-Preview-Dataset",
        license="mit",
    ),
    Layout(
        name="dapo_math",
        hub="BytedTsinghua-SIA/DAPO-Math-17k",
        files=("*data/*.parquet",),
        fields={"problem": "prompt.0.content", "gold": "reward_model.ground_truth"},
        data_source="math_dapo",
        license="apache-2.0",
        read={"problem": _without_dapo_instruction},
    ),
    Layout(
        name="openr1_math",
        hub="open-r1/OpenR1-Math-220k",
        files=("*data/train-*.parquet",),
        fields={"problem": "problem", "gold": "answer"},
        data_source="open-r1/OpenR1-Math-220k",
        license="apache-2.0",
        left_out=("question_type", "proof", "proof"),
    ),
    Layout(
        name="math",
        hub="DigitalLearningGmbH/MATH-lighteval",
        files=("*data/train-*.parquet", "*train/*.json"),
        fields={"problem": "problem", "gold": "solution", "difficulty": "level"},
        data_source="DigitalLearningGmbH/MATH-lighteval",
        license="mit",
        read={"gold": _boxed, "difficulty": _level},
    ),
    Layout(
        name="gsm8k",
        hub="openai/gsm8k",
        files=("*main/train-*.parquet",),
        fields={"problem": "question", "gold": "answer"},
        data_source="openai/gsm8k",
        license="mit",
        read={"gold": _after_hashes},
    ),
    Layout(
        name="skywork_or1",
        hub="Skywork/Skywork-OR1-RL-Data",
        files=("*data/math-*.parquet",),
        fields={
            "problem": "prompt.0.content",
            "gold": "reward_model.ground_truth",
            "data_source": "data_source",
            "difficulty": "extra_info.model_difficulty.DeepSeek-R1-Distill-Qwen-7B",
        },
        data_source="Skywork/Skywork-OR1-RL-Data",
        read={"gold": _json_list},
        left_out=("ability", "code", "code"),
    ),
    Layout(
        name="reasoning_gym",
        fields={"problem": "problem", "gold": "gold", "data_source": "data_source"},
        data_source="reasoning_gym",
        ability="reasoning",
        license="apache-2.0",
    ),
    Layout(
        name="tiny_world",
        fields={"problem": "problem", "gold": "gold", "data_source": "data_source", "difficulty": "difficulty"},
        data_source="tiny_world",
        ability="search",
        license="apache-2.0",
        template="plain",
    ),
)
"""By name; those without a hub name are made here."""

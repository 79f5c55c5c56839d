"""What each method needs to be built, and what it claims; random batches that bring all the columns methods read."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import note
from hypothesis import strategies as st

from laser_verl.core import Context, Method, Rollouts, build
from tests.oracles.rows import Row
from tests.property import random_groups

LONGEST = 20_480
CONTEXT = Context(group_size=8, max_response_length=LONGEST)
MOST_ROWS = 20

# Few, so that ties are common; among them the targets, limits and budgets of the published defaults and their
# neighbours.
LENGTHS = (
    *(0, 1, 2, 3, 30, 100, 400, 512, 800, 1000, 1024, 1025, 1200, 1500, 1999, 2000, 2001, 2048, 2049, 3000, 3001, 4000),
    *(4001, 4096, 4097, 6000, 8192, 8193, 9000, 14_319, 14_320, 14_336, 16_383, 16_384, 16_385, 18_432, LONGEST),
)


@dataclass(frozen=True)
class Case:
    """A method with options, and what it says of its rewards with them.

    Attributes:
        method: Its name.
        options: All that the laws need beyond the defaults.
        least: No reward is below.
        greatest: No reward is above.
        prefers_shorter_up_to: Of two solved responses of a group, neither beyond this length, the shorter one never
            scores below the other; 0 where a method makes no such claim.
        prefers_shorter_among: Column in which the two must be equal for that.
        same_length_within: Equal lengths of a group, from the first of these to the last, leave the standardised
            advantages those of the task reward; beyond, right answers may be worth as little as wrong ones, or less.
    """

    method: str
    options: Mapping[str, Any] = field(default_factory=dict)
    least: float = -math.inf
    greatest: float = math.inf
    prefers_shorter_up_to: int = LONGEST
    prefers_shorter_among: str | None = None
    same_length_within: tuple[int, int] = (0, LONGEST)

    def new(self, **options: Any) -> Method:
        """The method, fresh."""
        return build(self.method, {**self.options, **options}, CONTEXT)


def _case(method: str, options: dict[str, Any], least: float, greatest: float, **claims: Any) -> Case:
    return Case(method, options, least, greatest, **claims)


# A solved response is at most (n - 1) / sqrt(n) sample deviations below the mean of n.
_FURTHEST = (MOST_ROWS - 1) / math.sqrt(MOST_ROWS)

CASES: dict[str, Case] = {
    "alp": _case("alp", {}, -1e-7 * LONGEST, 1.0),
    # a long answer without a thought beats a short one with it
    "autothink": _case("autothink", {}, -2.0, 2.0, prefers_shorter_among="uses_thinking"),
    "autothink, stage 3": _case(
        "autothink",
        {"stage": 3},
        -3.0,
        1.0 + math.exp(0.05 * _FURTHEST),
        prefers_shorter_among="uses_thinking",
    ),
    "cosine": _case("cosine", {"max_length": 14_336}, -10.0, 2.0, same_length_within=(0, 14_335)),
    "da_dler": _case("da_dler", {}, 0.0, 1.0, same_length_within=(0, 2000)),
    "dapo_overlong": _case("dapo_overlong", {}, -2.0, 1.0),
    "dast": _case("dast", {}, -1.0, 1.0),
    "efficient": _case("efficient", {"alpha": 0.4}, 0.0, 1.0),
    "gr3": _case("gr3", {}, 0.0, 1.0),
    "grpo_lead": _case("grpo_lead", {}, -1.0, math.exp(0.05 * _FURTHEST)),
    "grpo_lead, gate": _case("grpo_lead", {"gate_length": 4000}, -1.0, math.exp(0.05 * _FURTHEST)),
    "hapo": _case("hapo", {}, -1.0, 2.0),
    "hapo, linear": _case("hapo", {"kind": "linear"}, -1.0, 2.0),
    # beyond context_length a right answer gets 0 where a shorter one may have got less; near it wrong answers get more
    "hbpo": _case("hbpo", {}, -1.0, 4.0, prefers_shorter_up_to=4096, same_length_within=(0, 3000)),
    # below its budget an answer gets less by being shorter
    "hbpo, released": _case(
        "hbpo", {"variant": "released_code"}, -1.0, 4.0, prefers_shorter_up_to=0, same_length_within=(0, 3000)
    ),
    "kimi": _case("kimi", {}, -0.5, 1.5),
    # a length that the prompt asks for is to be met
    "l1_exact": _case("l1_exact", {}, -3e-4 * LONGEST, 1.0, prefers_shorter_up_to=0),
    "l1_max": _case("l1_max", {}, 0.0, 1.0, same_length_within=(0, 2001)),
    # as printed in the table the sign is the other way round: long answers are worth more, and right ones of less than
    # 1950 tokens nothing
    "l1_max, LASER's table": _case(
        "l1_max",
        {"variant": "laser_table", "budget": 2000},
        0.0,
        1.0,
        prefers_shorter_up_to=0,
        same_length_within=(1999, LONGEST),
    ),
    # the usual length is to be met
    "lapo": _case("lapo", {}, 0.0, 1.7, prefers_shorter_up_to=0),
    "lapo, stage 2": _case("lapo", {"stage": 2}, 0.0, 1.8, prefers_shorter_up_to=0),
    "laser": _case("laser", {"target_length": 2000}, -1.0, 1.5),
    "laser_d": _case("laser_d", {"window": 2, "update_every": 2}, -1.0, 1.5),
    "laser_d, fixed": _case("laser_d", {"target_lengths": {"easy": 1000, "medium": 2000, "hard": 4000}}, -1.0, 1.5),
    "laser_de": _case("laser_de", {"window": 2, "update_every": 2}, -1.0, 1.5),
    "lc_r1": _case("lc_r1", {}, 0.0, 3.0),
    "lc_r1, released": _case("lc_r1", {"variant": "released_code"}, 1.0 - LONGEST, 3.0),
    "long2short": _case("long2short", {}, 0.0, 1.2),
    "mixed": _case(
        "mixed",
        {"per_data_source": {"math": "laser_d", "code": {"method": "hapo", "weight": 0.5}, "default": "none"}},
        -1.0,
        1.5,
    ),
    "none": _case("none", {}, -1.0, 1.0),
    "o1_pruner": _case("o1_pruner", {}, -3.0, 9000.5 - 1 + 2),
    # up to 1500/6 = 250 tokens, right and wrong answers are both worth the 4 of the clip
    "o1_pruner, clipped": _case("o1_pruner", {"clip": (-2.0, 4.0)}, -2.0, 4.0, same_length_within=(251, LONGEST)),
    "shorter_better": _case("shorter_better", {}, -1e-3 * LONGEST, 2.0),
    "siri": _case("siri", {"period": 8}, 0.0, 1.0, same_length_within=(0, 16_384)),
    "thinkless": _case("thinkless", {}, -1.0, 1.0, prefers_shorter_among="uses_thinking"),
    "thinkprune": _case("thinkprune", {}, 0.0, 1.0, same_length_within=(0, 4000)),
    "thinkprune, stages": _case(
        "thinkprune", {"stages": (4000, 3000, 2000), "starts": (0, 1, 2)}, 0.0, 1.0, same_length_within=(0, 4000)
    ),
    "truncation": _case("truncation", {"target_length": 2000}, -1.0, 1.0, same_length_within=(0, 2000)),
}

# Columns that are the prompt's, one value for all of its responses, and the values they are drawn from.
PROMPT_COLUMNS: dict[str, tuple[Any, ...]] = {
    "budget": (2000.0, 1.0, 100.0, 512.0, 1000.0, 4096.0),
    "data_source": ("math", "code", "chat"),
    "reference_accuracy": (0.5, 0.0, 0.25, 1.0),
    "reference_length": (1500.0, 1.0, 100.0, 4096.0, 9000.5),
    "shortest_correct": (1000.0, math.nan, 0.0, 1.0, 100.0, 4096.0),
}
# Columns that each response has its own value of.
ROW_COLUMNS: dict[str, tuple[Any, ...]] = {"has_eos": (1.0, 1.0, 0.0), "uses_thinking": (1.0, 0.0)}
ALL_COLUMNS = (*PROMPT_COLUMNS, *ROW_COLUMNS)
# Every batch has it, beside its columns.
PROMPT_KEY = "prompt_key"
FIRST_VALUES = {name: values[0] for name, values in (PROMPT_COLUMNS | ROW_COLUMNS).items()}


def rollouts_of(rows: Sequence[Row], columns: Iterable[str] = ALL_COLUMNS, **extra: Any) -> Rollouts:
    """A batch with the columns of its rows; a row without them gets the first value of each."""
    named = [name for name in columns if name != PROMPT_KEY]
    return random_groups.rollouts_of(rows, named, missing=FIRST_VALUES, max_response_length=LONGEST, **extra)


def each(labels: Iterable[str] = CASES) -> Iterator[Case]:
    """Cases one after the other; of a law that breaks, the last one printed is the case that broke it."""
    for label in labels:
        note(f"case: {label}")
        yield CASES[label]


_rows = st.builds(
    Row,
    prompt=st.integers(0, 4),
    length=st.sampled_from(LENGTHS),
    correct=st.booleans(),
    well_formed=st.sampled_from([True, True, False]),
    repetitive=st.sampled_from([False, False, True]),
    truncated=st.sampled_from([False, False, True]),
    columns=st.fixed_dictionaries({name: st.sampled_from(values) for name, values in ROW_COLUMNS.items()}),
)
_prompts = st.fixed_dictionaries({name: st.sampled_from(values) for name, values in PROMPT_COLUMNS.items()})


@st.composite
def batches(draw: Callable[..., Any], max_size: int = MOST_ROWS, num_prompts: int = 5) -> list[Row]:
    """A few groups in mixed order, with all columns."""
    prompts = draw(st.lists(_prompts, min_size=num_prompts, max_size=num_prompts))
    rows = []
    for row in draw(st.lists(_rows, max_size=max_size)):
        prompt = row.prompt % num_prompts
        rows.append(replace(row, prompt=prompt, columns={**row.columns, **prompts[prompt]}))
    return rows

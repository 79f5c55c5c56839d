from __future__ import annotations

import pickle
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laser_verl.data import tiny_world
from laser_verl.scoring.short_answers import Within, same_choice, same_text
from laser_verl.scoring.tasks import MATH, SHIPPED, Function, build, read_scorers


@pytest.mark.parametrize(
    ("entry", "gold", "words"),
    [
        ("exact", r"\text{ }", "empty"),
        ("multiple_choice", "A, C", 'give one letter, e.g. "C"'),
        ("multiple_choice", "7", "no choice for the scorer multiple_choice"),
        ({"scorer": "numeric", "relative_tolerance": 0.1}, "about 5", "no number for the scorer numeric"),
    ],
)
def test_golds_that_a_scorer_cannot_read_are_named(entry: object, gold: str, words: str) -> None:
    assert words in (build(entry).check_gold(gold) or "")


@pytest.mark.parametrize(
    ("entry", "gold"),
    [
        ("math", "]["),
        ("exact", "a"),
        ("multiple_choice", "(c)"),
        ({"scorer": "numeric", "absolute_tolerance": 0}, "1/3"),
    ],
)
def test_golds_that_a_scorer_reads(entry: object, gold: str) -> None:
    assert build(entry).check_gold(gold) is None


def test_an_entry_is_a_name_or_a_mapping() -> None:
    assert build("math") is build({"scorer": "math"}) is MATH
    assert build("exact").judge is same_text
    assert build({"scorer": "multiple_choice"}).judge is same_choice
    # the decimals as they were written: 0.1 as a binary float is a little more
    numeric = build({"scorer": "numeric", "relative_tolerance": 0.1, "absolute_tolerance": 1e-05})
    assert numeric.judge == Within(Fraction(1, 10), Fraction(1, 100_000))
    assert build({"path": "judge.py"}).function == Function("judge.py", "compute_score")
    assert build({"path": "pkg://my.judges", "name": "score"}).function == Function("pkg://my.judges", "score")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("mth", "physics='mth' is unknown; known: math, exact, multiple_choice, numeric; did you mean 'math'?"),
        ({"scorer": "Exact"}, "physics.scorer='Exact' is unknown; .*did you mean 'exact'?"),
        ({"scorer": None}, "physics.scorer=None is unknown"),
        ({"scorer": ["math"]}, r"physics.scorer=\['math'\] is unknown"),
        (3, "physics=3 must be one of math, .*path: FILE"),
        (None, "physics=None must be"),
        (["math"], "physics=.*must be"),
        ({}, "physics={} must be"),
        ({"tolerance": 1}, "must be one of"),
        ("numeric", "no tolerance; .*relative_tolerance: 0.01.*0 asks for equal"),
        ({"scorer": "numeric", "tolerance": 1}, "physics.tolerance is unknown; .*did you mean 'relative_tolerance'?"),
        ({"scorer": "math", "relative_tolerance": 1}, "physics.relative_tolerance is unknown; known: scorer"),
        ({"scorer": "numeric", "relative_tolerance": -0.1}, "relative_tolerance=-0.1 must be a number from 0"),
        ({"scorer": "numeric", "absolute_tolerance": "1%"}, "absolute_tolerance='1%' must be a number"),
        ({"scorer": "numeric", "absolute_tolerance": True}, "absolute_tolerance=True must be"),
        ({"scorer": "numeric", "absolute_tolerance": float("nan")}, "absolute_tolerance=nan must be"),
        ({"scorer": "numeric", "absolute_tolerance": float("inf")}, "absolute_tolerance=inf must be"),
        ({"scorer": "numeric", "absolute_tolerance": None}, "absolute_tolerance=None must be"),
        ({"path": "", "name": "score"}, "physics.path='' must be a text"),
        ({"path": "judge.py", "name": 3}, "physics.name=3 must be a text"),
        ({"path": "judge.py", "names": "score"}, "physics.names is unknown; known: path, name; did you mean 'name'?"),
    ],
)
def test_wrong_entries_say_what_is_wrong(entry: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(entry, "scorers.physics")


@pytest.mark.parametrize("entries", ["math", ["math"], 3])
def test_scorers_are_a_mapping(entries: object) -> None:
    with pytest.raises(ValueError, match=r"scorers=.*must be a mapping.*\{physics: exact\}"):
        read_scorers(entries)


def test_a_source_is_looked_up_in_the_users_entries_then_among_the_shipped_then_by_default() -> None:
    scorers = read_scorers({"openai/gsm8k": "exact", 2024: "multiple_choice", "default": "exact"})
    assert scorers.find("openai/gsm8k").name == "exact"
    assert scorers.find("2024").name == "multiple_choice"
    assert scorers.find("amc23") is MATH
    assert scorers.find("physics").name == "exact"
    assert read_scorers(None).find("physics") is None
    assert read_scorers({}).find(None) is None


@pytest.mark.parametrize(
    ("source", "scorer"),
    [
        ("phys", "exact"),
        ("physics", "exact"),
        ("physics/v2", "multiple_choice"),
        ("physics/v1", "numeric"),
        ("physics/v10", "multiple_choice"),
        # no pattern but at the end
        ("a*b", "exact"),
        ("axb", None),
        ("phy", None),
        # before what is shipped, even its full names
        ("aime24", "exact"),
        ("amc23", "multiple_choice"),
        ("aim", None),
        ("numina_x", "math"),
        ("searchR1_nq", "exact"),
    ],
)
def test_a_star_at_the_end_of_a_source_stands_for_any_end(source: str, scorer: str | None) -> None:
    scorers = read_scorers(
        {
            "phys*": "exact",
            "physics/*": "multiple_choice",
            "physics/v1": {"scorer": "numeric", "absolute_tolerance": 0},
            "a*b": "exact",
            "aime*": "exact",
            "amc*": "multiple_choice",
            "searchR1_*": "exact",
        }
    )
    task = scorers.find(source)
    assert (task and task.name) == scorer


@given(
    st.text("ab*", max_size=6),
    st.dictionaries(st.text("ab*", min_size=2, max_size=4), st.sampled_from(["exact", "multiple_choice"]), max_size=6),
)
def test_a_source_of_its_own_name_or_else_the_longest_beginning_wins(source: str, entries: dict[str, str]) -> None:
    found = read_scorers(entries).entry_of(source)
    # from the source itself down to its first character, the first that is named
    wanted = [source, *(source[:end] + "*" for end in range(len(source), -1, -1))]
    assert found == next((name for name in wanted if name in entries), None)


def test_a_star_alone_is_the_default() -> None:
    with pytest.raises(ValueError, match=r"scorers\.\* stands for every source; .* scorers\.default"):
        read_scorers({"*": "exact"})


def test_what_is_said_of_a_source_without_scorer_helps() -> None:
    scorers = read_scorers({"physics": "exact"})
    said = scorers.explain_missing("chemistry", "reward.scorers")
    assert said.startswith("has no scorer; known are physics, openai/gsm8k, ")
    assert said.endswith("by +reward.scorers.default=math")
    for source in ("codecontests", "searchR1_nq"):
        said = scorers.explain_missing(source, "reward.scorers")
        assert f"{source} is scored by running code or by search" in said
        assert f"scorers={{{source}: {{path: FILE, name: FUNCTION}}}}" in said
        assert "math" not in said


@pytest.mark.parametrize("source", ["codecontests", "taco", "searchR1_nq"])
def test_a_default_does_not_stand_in_for_running_code_or_searching(source: str) -> None:
    assert read_scorers({"default": "math"}).find(source) is None
    assert read_scorers({source: "exact"}).find(source).name == "exact"
    assert read_scorers({"default": {"path": "judge.py"}}).find(source).function == Function(
        "judge.py", "compute_score"
    )


@pytest.mark.parametrize(
    "source",
    [
        *("openai/gsm8k", "lighteval/MATH", "DigitalLearningGmbH/MATH-lighteval", "HuggingFaceH4/MATH-500"),
        *("math_dapo", "math", "math_dapo_reasoning", "aime24", "aime2025", "numina_cn_k12", "numina_olympiads"),
        *("agentica-org/DeepScaleR-Preview-Dataset", "deepscaler", "amc23", "olympiadbench", "math500"),
        *(row["data_source"] for row in tiny_world.to_rows(tiny_world.make_problems(1, seed=1), "train")),
    ],
)
def test_sources_of_mathematics_need_no_entry(source: str) -> None:
    assert read_scorers(None).find(source) is MATH


@pytest.mark.parametrize("source", ["", "gsm8k", "MATH", "maths", "my_aime24", "numina", "tiny_world", None])
def test_like_names_are_not_shipped(source: str | None) -> None:
    assert read_scorers(None).find(source) is None


def test_what_is_shipped_is_mathematics_or_has_a_verifier() -> None:
    assert set(SHIPPED.values()) == {"math", "reasoning_gym"}


def test_scorers_travel_to_other_processes() -> None:
    scorers = read_scorers({"a": "exact", "b": {"scorer": "numeric", "relative_tolerance": 0.1}, "c": {"path": "x.py"}})
    assert pickle.loads(pickle.dumps(scorers)) == scorers

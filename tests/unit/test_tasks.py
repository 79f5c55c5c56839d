from __future__ import annotations

import pickle
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laser_verl.data import tiny_world
from laser_verl.scoring.short_answers import Within, read_letter, read_number, same_choice, same_text
from laser_verl.scoring.tasks import MATH, SHIPPED, Function, build, read_scorers


@pytest.mark.parametrize(
    "text",
    [
        *("C", "c", "(C)", "( c )", "C.", "C)", "C:", "C) 12 cm", "(C) 12 cm", "C. 12", "C: 12"),
        *(r"\text{C}", r"\text{ C }", r"\mathrm{(C)}", r"(\text{C})", r"\text{C}.", r"\text{(C) 12 cm}"),
        *(r"\textbf{(C)}\ 12", r"\textbf{(C) }12", r"\textbf{C}\quad 12", r"\text{\textbf{C}}"),
        # what a choice says may hold letters: of a formula, of a unit, of the other choices' names
        *("C) V = IR", "C) f(x) = x", "C) 12 m", r"C) 5 \text{ N}", "C) Both A and B", "(C) (2, 3)"),
    ],
)
def test_one_letter_is_a_choice(text: str) -> None:
    assert read_letter(text) == "C"
    assert same_choice("C", text)
    assert not same_choice("B", text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "1", "12 cm", "AC", "CC", "A cat", "C 12", "(C", "e.g. C", "the answer is C", "Ç", "\u0421"),
        *("A, C", "A,C", "A/C", "A and C", "A or C", "A & C", "A B C", r"A \text{ and } C"),
        *("(A)(C)", "(A) (C)", "(A), (C)", "(A) or C", "(A) C", "A) C)", "A) or C", "A. C.", "a) or c"),
        *("A) 12 C) 13", "(A) 12 (C) 13", "A. 12 C. 13", "A: 12, C: 13", r"\textbf{(A)} 12 \textbf{(C)} 13"),
        *(r"\text{A}\text{C}", r"\text{A} \text{and} \text{C}", r"\text{A and C}", "(A) (B) (C) (D) (E)"),
        *(
            "C" * 100_000,
            "(" * 100_000,
            "C)" * 100_000,
            r"\text{" * 100_000 + "C" + "}" * 100_000,
            "C) " + "x" * 10_000,
        ),
    ],
    ids=lambda text: text[:20],
)
def test_two_letters_or_none_are_no_choice(text: str) -> None:
    assert read_letter(text) is None
    assert not same_choice("C", text)
    assert not same_choice(text, text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("12", 12), ("-3", -3), ("+3", 3), ("−4", -4), ("- 5", -5), ("007", 7), ("0", 0), ("-0", 0)),
        *(("3.25", Fraction(13, 4)), (".5", Fraction(1, 2)), ("5.", 5), ("0.1", Fraction(1, 10))),
        *(("1,234", 1234), ("1,234,567.5", Fraction(2469135, 2)), ("1 234", 1234)),
        *((r"1{,}234", 1234), (r"1\,234\,567", 1234567), (r"12\!,345", 12345)),
        *(
            ("1.5e-3", Fraction(3, 2000)),
            ("2E5", 200_000),
            ("1e+2", 100),
            ("10^5", 100_000),
            ("-10^{-2}", Fraction(-1, 100)),
        ),
        *(
            (r"1.5\times10^{-3}", Fraction(3, 2000)),
            (r"1.5 \times 10^{-3}", Fraction(3, 2000)),
            (r"2\cdot 10^6", 2_000_000),
        ),
        *(("3×10^8", 300_000_000), ("3*10^8", 300_000_000), ("1e1000", 10**1000)),
        *(("3/4", Fraction(3, 4)), ("-3/4", Fraction(-3, 4)), ("3 / -4", Fraction(-3, 4)), ("0.5/2", Fraction(1, 4))),
        *(
            (r"\frac{3}{4}", Fraction(3, 4)),
            (r"-\frac{3}{4}", Fraction(-3, 4)),
            (r"\dfrac{-3}{1,000}", Fraction(-3, 1000)),
        ),
        *(("50%", Fraction(1, 2)), (r"12.5\%", Fraction(1, 8)), (r"\frac{1}{2}\%", Fraction(1, 200))),
        *(
            (r"5\text{ cm}", 5),
            (r"5 \text{ cm}^2", 5),
            (r"9.81\,\mathrm{m/s}^{2}", Fraction(981, 100)),
            (r"2\mathrm{~kg}", 2),
        ),
        *((r"30^\circ", 30), (r"30^{\circ}", 30), (r"20^\circ\text{C}", 20), (r"50\%\text{ of them}", Fraction(1, 2))),
        (r"\text{12}", 12),
    ],
)
def test_numbers_are_read_exactly(text: str, value: int | Fraction) -> None:
    number = read_number(text)
    assert number is not None
    assert number.value == value


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "x",
            "cm",
            "5 cm",
            "five",
            "inf",
            "nan",
            "-",
            ".",
            "1e",
            "e5",
            "--3",
            "2x",
            "0x10",
            "1_000",
            "٣",
            "½",
            "²",
        ),
        *(
            "1,5",
            "12,34",
            "1,2345",
            "1, 234",
            "1 2",
            "1,234 567",
            "3/0",
            "0/0",
            r"\frac{1}{0}",
            "1/2/3",
            "2(3)",
            "1.2.3",
        ),
        *("3, 4", "3 or 4", r"5\text{ or 7}", r"5\text{ or }7", "1+1", "2^3", "10^10^10", r"\sqrt{2}", r"1\frac{1}{2}"),
        *("1e1001", "1e-1001", "10^{9999999999}", "1e" + "9" * 1000, "9" * 101, "9" * 100_000, "-" * 100_000),
        *("1" + ",000" * 100_000, " " * 100_000, r"\frac{" * 100_000, "__import__('os')", "1\x00", "\ud800"),
    ],
    ids=lambda text: ascii(text[:20]),
)
def test_what_is_no_plain_number_is_not_read(text: str) -> None:
    assert read_number(text) is None
    assert not Within(Fraction(1), Fraction(1))("1", text)


def within(relative: str = "0", absolute: str = "0") -> Within:
    return Within(Fraction(relative), Fraction(absolute))


@pytest.mark.parametrize(
    ("judge", "gold", "answer", "is_equal"),
    [
        # 1 % of 9.81 is 0.0981: up to 9.9081
        (within("0.01"), "9.81", "9.9081", True),
        (within("0.01"), "9.81", "9.90810000000000000001", False),
        (within("0.01"), "-9.81", "-9.9081", True),
        (within("0.01"), "-9.81", "9.81", False),
        # of the gold, not of the answer: 1 % of 100 is 1, and 1 % of 101.01 would be more
        (within("0.01"), "100", "101", True),
        (within("0.01"), "100", "101.01", False),
        (within("0.01"), "0", "0.0", True),
        (within("0.01"), "0", "1e-1000", False),
        (within(absolute="0.1"), "10", "9.9", True),
        (within(absolute="0.1"), "10", "9.8999", False),
        (within("0.01", "5"), "100", "105", True),  # the wider of 1 and 5
        (within("0.01", "5"), "1000", "1010", True),  # the wider of 10 and 5
        (within("0.01", "5"), "1000", "1011", False),
        # binary floats call 0.1 + 0.2 more than 0.3
        (within(absolute="0.1"), "0.2", "0.3", True),
        (within(absolute="0.5"), r"50\%", r"50.5\%", True),  # percent points
        (within(absolute="0.5"), r"50\%", r"50.6\%", False),
        (within(absolute="0.5"), r"50\%", "0.503", True),
        (within(absolute="0.5"), r"50\%", "0.9", False),
        (within(absolute="0.5"), r"50\%", r"99\%", False),
        (within(absolute="0.5"), "0.5", r"99\%", True),
        (within(), "0.1", "1/10", True),
        (within(), "1/3", "0.3333333333333333", False),
        # a percent sign on one side only may mean either, as in mathematics
        (within(), "50%", "0.5", True),
        (within(), "50%", "50", True),
        (within(), "50", r"50\%", True),
        (within(), "0.5", "50%", True),
        (within(), "50%", "50%", True),
        (within(), "50%", "0.5%", False),
        (within(), "50", "5000%", True),
        # units are not compared
        (within(), r"5\text{ m}", r"5\text{ km}", True),
        (within("1"), "x", "x", False),
    ],
)
def test_tolerances_at_their_edges(judge: Within, gold: str, answer: str, is_equal: bool) -> None:
    assert judge(gold, answer) is is_equal


@pytest.mark.parametrize(
    ("gold", "answer", "is_equal"),
    [
        ("Rome", "Rome", True),
        ("Rome", r"\text{Rome}", True),
        (r"\mathrm{Rome}", r"\textbf{ Rome }", True),
        ("Rome", r"\text{\textbf{\textit{Rome}}}", True),
        ("New York", r"\text{New   York}", True),
        ("Rome", "rome", False),
        ("Rome", "Rome, Italy", False),
        ("Rome", r"\text{Rome} or \text{Paris}", False),
        ("0.5", "1/2", False),
        (r"\text{a}b", r"\text{a}b", True),
        (r"a\}", r"\text{a\}}", True),
    ],
)
def test_exact_compares_text(gold: str, answer: str, is_equal: bool) -> None:
    assert same_text(gold, answer) is is_equal


def test_many_wrappers_end_soon() -> None:
    assert not same_text("C", r"\text{" * 100_000 + "C" + "}" * 100_000)


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


def test_what_is_shipped_is_mathematics() -> None:
    assert set(SHIPPED.values()) == {"math"}


def test_scorers_travel_to_other_processes() -> None:
    scorers = read_scorers({"a": "exact", "b": {"scorer": "numeric", "relative_tolerance": 0.1}, "c": {"path": "x.py"}})
    assert pickle.loads(pickle.dumps(scorers)) == scorers

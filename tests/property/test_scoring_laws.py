"""Laws of scoring that hold for any text."""

from fractions import Fraction

from hypothesis import example, given
from hypothesis import strategies as st

from laser_verl.scoring import guards
from laser_verl.scoring.answers import normalise
from laser_verl.scoring.formats import last_boxed, parse
from laser_verl.scoring.layers import compare
from laser_verl.scoring.readings import read

# Lone surrogates and NUL bytes included, mixed with the pieces the parser looks for.
PIECES = st.sampled_from(["<think>", "</think>", "\\boxed{", "{", "}", "\\", "7", " ", "$"])
TEXT = st.lists(st.one_of(PIECES, st.text(st.characters(codec=None), max_size=5)), max_size=40).map("".join)
NUMBERS = st.from_regex(r"-?[0-9]{1,6}(\.[0-9]{1,4})?", fullmatch=True)
ANSWERS = st.one_of(NUMBERS, st.sampled_from(["x", "A", "a", r"\frac{1}{2}", "1/2", "(1, 2)"]))


@given(TEXT, st.sampled_from(["deepseek", "boxed"]), st.booleans())
def test_any_text_parses_and_a_well_formed_one_has_an_answer(text: str, thinking: str, opens: bool) -> None:
    parsed = parse(text, thinking, opens)
    assert parsed.answer is None or (parsed.answer and parsed.answer in text)
    assert parsed.answer is not None or not parsed.well_formed


@given(TEXT, st.text("abc 12{}", max_size=20).filter(lambda t: "{" not in t and "}" not in t))
def test_a_box_at_the_end_always_counts(text: str, answer: str) -> None:
    assert last_boxed(text.replace("\\", "") + rf"\boxed{{{answer}}}") == answer.strip()


@given(TEXT, TEXT)
def test_text_around_a_well_formed_response_cannot_hide_a_second_thought(before: str, after: str) -> None:
    assert not parse(f"{before}<think></think>{after}<think></think>\\boxed{{7}}", "deepseek").well_formed


@given(TEXT)
@example("7 . .")
@example(r"\(\[x\]\)")
@example("$\\$")
@example(r"7\,.\ ")
@example("$5$ percent.")
@example("5 percent percent")
@example("1e05")
@example(r"\fbox{\fbox{7}}")
@example(r"\left~\big\bigl(7\right )")
def test_normalising_twice_is_normalising_once(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


@given(ANSWERS, ANSWERS)
def test_fast_layers_are_symmetric_but_for_assignments(first: str, second: str) -> None:
    assert compare(first, second) == compare(second, first)


@given(NUMBERS, NUMBERS)
def test_numbers_of_few_places_are_compared_exactly(first: str, second: str) -> None:
    compared = compare(first, second)
    assert compared is not None
    assert compared[0] == (Fraction(first) == Fraction(second))


@given(TEXT)
def test_any_text_can_be_read_and_guarded(text: str) -> None:
    assert guards.refuse(text) is None or len(text) > 30
    read(normalise(text))

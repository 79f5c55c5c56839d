import pytest

from laser_verl.commands import BadInput
from laser_verl.evaluate.verdicts import KEYWORDS, count_keywords, judge
from laser_verl.scoring import gym_verifiers
from tests.unit.evaluate.recorded import sample


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("Wait, WAIT... wait!", {"wait": 3}),
        ("waiting, awaits, waited, however2", {}),
        ("However, let me re-check. Recheck; retry the try", {"however": 1, "recheck": 1, "retry": 1}),
        ("try again, try\n again, tryagain, retry again", {"try again": 2, "retry": 1}),
        ("Alternatively we rethink", {"alternatively": 1, "rethink": 1}),
        ("<think>wait</think>", {"wait": 1}),
    ],
)
def test_keywords_are_whole_words_in_any_case(text: str, expected: dict[str, int]) -> None:
    assert count_keywords(text) == dict.fromkeys(KEYWORDS, 0) | expected


def test_verdicts_and_votes() -> None:
    samples = [
        sample(0, 0, "0.5", "1/2"),
        sample(0, 1, "2", "1/2"),
        sample(0, 2, None, "1/2"),
        sample(0, 3, gold="1/2", response="\\boxed{1/2}"),
        sample(0, 4, gold="1/2", budget=3, response=None),
    ]
    verdicts = judge(samples, "deepseek")
    found = [verdicts[one.id] for one in samples[:4]]
    assert [(one.correct, one.well_formed, one.answer) for one in found] == [
        (True, True, "0.5"),
        (False, True, "2"),
        (False, False, None),
        # right but malformed: no vote
        (True, False, None),
    ]
    assert samples[4].id not in verdicts


def test_the_data_source_says_who_judges() -> None:
    library = pytest.importorskip("reasoning_gym")
    entry = library.create_dataset("countdown", seed=1, size=1)[0]
    entry["metadata"] |= {"numbers": [2, 3, 4], "target": 14}  # 2·(3 + 4) = 14 = 4·3 + 2
    gold = gym_verifiers.gold_of("countdown", {}, entry)
    source = "reasoning_gym/countdown"
    samples = [sample(0, n, text, gold, source=source) for n, text in enumerate(("2*(3+4)", "4*3+2", "2*3+4"))]
    verdicts = judge(samples, "deepseek")
    assert [verdicts[one.id].correct for one in samples] == [True, True, False]


def test_a_thought_that_the_prompt_opened() -> None:
    response = "wait</think>\\boxed{7}"
    samples = [sample(0, number, response=response, opens_think=number == 0) for number in range(2)]
    verdicts = judge(samples, "deepseek")
    assert [verdicts[one.id].well_formed for one in samples] == [True, False]


def test_a_format_of_a_package_that_is_not_here() -> None:
    with pytest.raises(BadInput, match=r"cannot be read here: thinking='final_line' is unknown; known: deepseek"):
        judge([sample(0, 0)], "final_line")


def test_a_gold_that_is_no_answer() -> None:
    with pytest.raises(BadInput, match="question 0"):
        judge([sample(0, 0, gold=" ")], "deepseek")

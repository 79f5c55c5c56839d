from pathlib import Path
from typing import Any

import pytest

from laser_verl.commands import WrongUsage
from laser_verl.evaluate.plan import Request, make_plan, read_budgets


def request_of(**changes: Any) -> Request:
    values: dict[str, Any] = {
        "model": "m",
        "on": ["aime24"],
        "out": Path("out"),
        "samples": None,
        "temperature": 0.6,
        "top_p": 0.95,
        "max_tokens": 32768,
        "seed": 1,
        "dtype": "bfloat16",
        "template": "paper",
        "thinking": "deepseek",
        "budgets": None,
        "cue": "",
        "answer_tokens": 512,
        "workers": 1,
        "tensor_parallel": 1,
        "max_num_seqs": None,
    }
    return Request(**{**values, **changes})


def test_samples_go_by_the_benchmark_unless_given() -> None:
    assert make_plan(request_of(on=["aime24", "amc23"])).samples == {"aime24": 16, "amc23": 16}
    plan = make_plan(request_of(on=["aime24"], samples=2, budgets="1000,0"))
    assert plan.samples == {"aime24": 2}
    assert plan.budgets == [0, 1000]
    assert len(plan.problems) == 30


@pytest.mark.parametrize("text", ["500,1e3", "-1", "1.5", "", "500,", "a", "٣"])
def test_budgets_that_are_no_whole_numbers(text: str) -> None:
    with pytest.raises(WrongUsage, match="must be whole numbers of tokens"):
        read_budgets(text)


def test_budgets_are_sorted_and_once_each() -> None:
    assert read_budgets(" 1000, 0,500,500") == [0, 500, 1000]
    assert read_budgets(None) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"on": []}, "--on is missing"),
        ({"on": ["aime24", "aime24"]}, "there is a benchmark aime24 already"),
        ({"samples": 0}, "--samples 0 must be 1 or more"),
        ({"max_tokens": 0}, "--max-tokens 0 must be 1 or more"),
        ({"workers": 0}, "--workers 0"),
        ({"seed": -1}, "--seed -1 must be 0 or more"),
        ({"temperature": -0.1}, "--temperature -0.1"),
        ({"temperature": float("nan")}, "--temperature nan"),
        ({"top_p": 0.0}, "--top-p 0.0"),
        ({"top_p": 1.01}, "--top-p 1.01"),
        ({"dtype": "float23"}, "unknown dtype 'float23'; did you mean 'float32'"),
        ({"template": "papper"}, "unknown template 'papper'; did you mean 'paper'"),
        ({"thinking": "deepsek"}, "unknown thinking 'deepsek'; did you mean 'deepseek'"),
    ],
)
def test_options_out_of_range(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(WrongUsage) as caught:
        make_plan(request_of(**changes))
    assert words in str(caught.value)

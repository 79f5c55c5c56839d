"""Think tags and boxes: what is well formed, and which box counts."""

import time

import pytest

from laser_verl.scoring.formats import last_boxed, parse, prompt_opens_think

# Golden case `laser/base-score`, printed by the official scorer: response, score with format reward (1 right, -0.5
# wrong, -1 malformed), correctness for the gold "7".
BASE_SCORE = {
    "ok": (r"<think>a</think> \boxed{7}", 1.0, 1.0),
    "wrong": (r"<think>a</think> \boxed{8}", -0.5, 0.0),
    "no_box": ("<think>a</think> 7", -1.0, 0.0),
    "truncated": (r"<think> so \boxed{7} but wait", -1.0, 1.0),
    "no_open": (r"a</think> \boxed{7}", -1.0, 1.0),
    "box_only_in_thought": (r"<think>\boxed{7}</think> done", -1.0, 0.0),
}


@pytest.mark.parametrize("name", BASE_SCORE)
@pytest.mark.parametrize("thinking", ["deepseek", "boxed"])
def test_base_score_of_the_official_code_is_replayed(name: str, thinking: str) -> None:
    response, score, correctness = BASE_SCORE[name]
    parsed = parse(response, thinking)
    assert (parsed.answer == "7") == bool(correctness)
    if thinking == "deepseek":
        assert parsed.well_formed == (score != -1.0)


@pytest.mark.parametrize(
    ("response", "prompt_opens", "well_formed"),
    [
        (r"a</think> \boxed{7}", True, True),
        (r"<think>a</think> \boxed{7}", True, False),  # opened twice: once by the prompt, once by the response
        (r"<think><think>a</think> \boxed{7}", False, False),
        (r"<think>a</think> b </think> \boxed{7}", False, False),
        (r"</think> a <think> \boxed{7}", False, False),
        (r"a</think> <think> \boxed{7}", True, False),
        (r"<think>a</think> \boxed{7} and more text", False, True),
        (r"\boxed{7}", False, False),
        ("", False, False),
        (" \n\t ", False, False),
    ],
)
def test_deepseek_wants_one_thought_then_a_box(response: str, prompt_opens: bool, well_formed: bool) -> None:
    assert parse(response, "deepseek", prompt_opens).well_formed == well_formed


def test_boxed_mode_wants_no_tags() -> None:
    assert parse(r"so \boxed{7}", "boxed").well_formed
    assert not parse("so 7", "boxed").well_formed


@pytest.mark.parametrize(
    ("text", "content"),
    [
        (r"\boxed{1} then \boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{x=\boxed{7}}", "7"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{\left\{ 1 \right.}", r"\left\{ 1 \right."),
        (r"\boxed{7} and \boxed{8", "7"),  # a box that never closes is no box
        (r"\boxed{7} \boxed{ }", ""),  # but a blank one is the last word
        ("} } { \\boxed{ 7 }", "7"),
        (r"\boxed{a\\}", r"a\\"),
        (r"\\boxed{7}", "7"),  # the backslash doubled, as models write it after reading JSON
        (r"{ { \boxed{7} } }", "7"),
        (r"\boxed{", None),
        ("boxed{7}", None),
        ("\\boxed{\U0001f600\x00\ud800}", "\U0001f600\x00\ud800"),
    ],
)
def test_the_last_closed_box_counts(text: str, content: str | None) -> None:
    assert last_boxed(text) == content


def test_a_blank_box_is_no_answer() -> None:
    parsed = parse(r"<think>a</think> \boxed{  }", "deepseek")
    assert parsed.answer is None
    assert not parsed.well_formed


@pytest.mark.parametrize("piece", ["\\boxed{", "{", "}", "\\", "<think>", "</think>", " ", "\\boxed{1}", "\\{"])
def test_a_hundred_thousand_characters_are_read_in_linear_time(piece: str) -> None:
    text = piece * (100_000 // len(piece))
    begun = time.perf_counter()
    parse(text, "deepseek")
    assert time.perf_counter() - begun < 0.5


@pytest.mark.parametrize(
    ("prompt", "opens"),
    [("<|assistant|><think>\n", True), ("<think>", True), ("<think>a</think>", False), ("", False), ("think>", False)],
)
def test_a_prompt_may_open_the_thought(prompt: str, opens: bool) -> None:
    assert prompt_opens_think(prompt) == opens

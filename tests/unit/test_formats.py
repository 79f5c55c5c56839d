"""Think tags, boxes, answer tags: what is well formed, which text is the answer, and formats that packages add."""

import json
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laser_verl.scoring import formats
from laser_verl.scoring.formats import Parsed, last_boxed, parse, prompt_opens_think

CASES = json.loads((Path(__file__).parent / "golden" / "laser.json").read_text())["cases"]
(GOLDEN,) = (case for case in CASES if case["id"] == "laser/base-score")


@pytest.mark.parametrize("name", GOLDEN["inputs"])
def test_base_score_of_the_official_code_is_replayed_with_its_format_reward(name: str) -> None:
    official = GOLDEN["expected"][name]["with_format"]
    parsed = parse(GOLDEN["inputs"][name], "deepseek")
    assert parsed.well_formed == (official["score"] != -1.0)
    assert (parsed.answer == "7") == bool(official["correctness"])


# Without format reward the official code scores 1 or 0. Ours keeps one scale for all formats, 1 / -0.5 / -1, on which
# a response without a box after its thought is malformed: what is right agrees, a score of 0 does not exist.
WITHOUT_FORMAT = {
    "ok": Parsed(True, "7"),
    "wrong": Parsed(True, "8"),
    "no_box": Parsed(False, None),
    "truncated": Parsed(True, "7"),
    "no_open": Parsed(True, "7"),
    "box_only_in_thought": Parsed(False, None),
}


@pytest.mark.parametrize("name", GOLDEN["inputs"])
def test_base_score_of_the_official_code_is_replayed_without_its_format_reward(name: str) -> None:
    official = GOLDEN["expected"][name]["no_format"]
    parsed = parse(GOLDEN["inputs"][name], "boxed")
    assert parsed == WITHOUT_FORMAT[name]
    assert (parsed.answer == "7") == bool(official["correctness"]) == (official["score"] == 1.0)


@pytest.mark.parametrize(
    ("response", "prompt_opens", "well_formed"),
    [
        (r"a</think> \boxed{7}", True, True),
        (r"<think>a</think> \boxed{7}", True, False),  # opened twice: once by the prompt, once by the response
        (r"<think><think>a</think> \boxed{7}", False, False),
        (r"</think> a <think> \boxed{7}", False, False),
        (r"a</think> <think> \boxed{7}", True, False),
        (r"text before <think>a</think> \boxed{7}", False, True),
        ("", False, False),
        (" \n\t ", False, False),
    ],
)
def test_deepseek_wants_one_thought_then_a_box(response: str, prompt_opens: bool, well_formed: bool) -> None:
    assert parse(response, "deepseek", prompt_opens).well_formed == well_formed


# response, well formed as deepseek, as boxed, answer in both
SHAPES = {
    "second </think>": (r"<think>a</think> b </think> \boxed{7}", False, True, "7"),
    "box between two </think>": (r"<think>a</think> \boxed{7} </think>", False, False, None),
    "no thought": (r"so \boxed{7}", False, True, "7"),
    "box only inside the thought": (r"<think>\boxed{7}</think> done", False, False, None),
    "another box inside the thought": (r"<think>\boxed{8}</think> \boxed{7}", True, True, "7"),
    "unfinished thought": (r"<think> so \boxed{7} but", False, True, "7"),
    "text after the box": (r"<think>a</think> \boxed{7}. This is the answer.", True, True, "7"),
    "several boxes": (r"<think>a</think> \boxed{6} or \boxed{7}", True, True, "7"),
    "nested boxes": (r"<think>a</think> \boxed{x = \boxed{7}}", True, True, "7"),
    "nested boxes, first inside": (r"<think>a</think> \boxed{\boxed{6} or 7}", True, True, "6"),
    "empty box": (r"<think>a</think> \boxed{}", False, False, None),
    "box of spaces": ("<think>a</think> \\boxed{ \t\n }", False, False, None),
    "an empty box after a filled one": (r"<think>a</think> \boxed{7} \boxed{}", False, False, None),
    "unclosed box": (r"<think>a</think> \boxed{7", False, False, None),
    "unclosed box after a closed one": (r"<think>a</think> \boxed{7} \boxed{8", True, True, "7"),
    "no brace": (r"<think>a</think> \boxed 7", False, False, None),
    "space before the brace": (r"<think>a</think> \boxed {7}", False, False, None),
    "another box": (r"<think>a</think> \fbox{7}", False, False, None),
    "doubled backslash": (r"<think>a</think> \\boxed{7}", True, True, "7"),
    "doubled backslash, empty": (r"<think>a</think> \\boxed{}", False, False, None),
    "no backslash": ("<think>a</think> boxed{7}", False, False, None),
    "</think> inside the box": (r"<think>a \boxed{</think>7}", False, False, None),
    "<think> inside the box": (r"<think>a</think> \boxed{<think>7}", False, True, "<think>7"),
    "answer tag, no box": ("<think>a</think> <answer>7</answer>", False, False, None),
    "answer tag inside the box": (r"<think>a</think> \boxed{<answer>7</answer>}", True, True, "<answer>7</answer>"),
    "capitals": (r"<THINK>a</THINK> \boxed{7}", False, True, "7"),
    "no text": ("", False, False, None),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_of_thought_and_box(shape: str) -> None:
    response, deepseek, boxed, answer = SHAPES[shape]
    assert parse(response, "deepseek") == Parsed(deepseek, answer)
    assert parse(response, "boxed") == Parsed(boxed, answer)


# response, well formed, answer
TAGGED = {
    "plain": ("<think>a</think><answer>7</answer>", True, "7"),
    "a box in the tag": (r"<think>a</think> <answer>The answer is \boxed{7}.</answer>", True, "7"),
    "words and spaces in the tag": ("<think>a</think>\n<answer>\n x = 7 \n</answer>\n", True, "x = 7"),
    "text around the tag": ("b <think>a</think> so <answer>7</answer> indeed", True, "7"),
    "no tag": (r"<think>a</think> \boxed{7}", False, None),
    "no thought": ("<answer>7</answer>", False, "7"),
    "unfinished thought": ("<think>a <answer>7</answer>", False, "7"),
    "second </think>": ("<think>a</think> b </think> <answer>7</answer>", False, "7"),
    "tag only inside the thought": ("<think><answer>7</answer></think> done", False, None),
    "another tag inside the thought": ("<think><answer>8</answer></think> <answer>7</answer>", True, "7"),
    "tag around </think>": ("<think>a <answer>7</think></answer>", False, None),
    "two tags": ("<think>a</think> <answer>6</answer> <answer>7</answer>", False, "7"),
    "nested tags": ("<think>a</think> <answer>6 <answer>7</answer></answer>", False, "7"),
    "closed twice": ("<think>a</think> <answer>7</answer></answer>", False, "7"),
    "opened twice": ("<think>a</think> <answer>7</answer> <answer>8", False, "7"),
    "unclosed tag": ("<think>a</think> <answer>7", False, None),
    "unclosed tag with a box": (r"<think>a</think> <answer>\boxed{7}", False, None),
    "unopened tag": ("<think>a</think> 7</answer>", False, None),
    "closed before it is opened": ("<think>a</think> </answer>7<answer>", False, None),
    "empty tag": ("<think>a</think> <answer></answer>", False, None),
    "tag of spaces": ("<think>a</think> <answer> \n </answer>", False, None),
    "an empty box in the tag": (r"<think>a</think> <answer>7 \boxed{}</answer>", False, None),
    "an unclosed box in the tag": (r"<think>a</think> <answer>\boxed{7</answer>", True, r"\boxed{7"),
    "several boxes in the tag": (r"<think>a</think> <answer>\boxed{6}, \boxed{7}</answer>", True, "7"),
    "tag inside a box": (r"<think>a</think> \boxed{<answer>7</answer>}", True, "7"),
    "tag inside a box in a tag": (r"<think>a</think> <answer>\boxed{<answer>7</answer>}</answer>", False, "7"),
    "a box after the tag": (r"<think>a</think> <answer>7</answer> \boxed{8}", True, "7"),
    "no text": ("", False, None),
}


@pytest.mark.parametrize("shape", TAGGED)
def test_shapes_of_answer_tags(shape: str) -> None:
    response, well_formed, answer = TAGGED[shape]
    assert parse(response, "answer_tag") == Parsed(well_formed, answer)
    # the same where the prompt opens the thought instead, which is then not to be opened again
    assert parse(response.replace("<think>", "", 1), "answer_tag", True) == Parsed(well_formed, answer)
    assert not parse("<think>" + response, "answer_tag", True).well_formed


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


PIECES = ["<think>", "</think>", "<answer>", "</answer>", r"\boxed{", "{", "}", "\\", "7", " ", "\ud800", "\x00"]


@given(st.lists(st.sampled_from(PIECES), max_size=24).map("".join), st.booleans())
def test_laws_of_the_shipped_formats(text: str, prompt_opens: bool) -> None:
    for name in formats.THINKING:
        parsed = parse(text, name, prompt_opens)
        assert parsed.answer is None or (parsed.answer and parsed.answer == parsed.answer.strip())
        assert parsed.answer is None or parsed.answer in text.rpartition("</think>")[2]
        assert not parsed.well_formed or parsed.answer is not None
        # what follows the answer is no part of it
        assert parse(text + " done.", name, prompt_opens) == parsed
    deepseek, boxed = (parse(text, name, prompt_opens) for name in ("deepseek", "boxed"))
    assert deepseek.answer == boxed.answer
    assert boxed.well_formed or not deepseek.well_formed


@pytest.mark.parametrize("name", formats.THINKING)
@pytest.mark.parametrize("piece", [*PIECES, r"\boxed{1}", r"\{", "<answer>7</answer>", "<answer", "</answer"])
def test_a_hundred_thousand_characters_are_read_in_linear_time(name: str, piece: str) -> None:
    text = piece * (100_000 // len(piece))
    begun = time.process_time()
    parse(text, name)
    assert time.process_time() - begun < 0.5


@pytest.mark.parametrize(
    ("prompt", "opens"),
    [("<|assistant|><think>\n", True), ("<think>", True), ("<think>a</think>", False), ("", False), ("think>", False)],
)
def test_a_prompt_may_open_the_thought(prompt: str, opens: bool) -> None:
    assert prompt_opens_think(prompt) == opens


Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a package of one module, as pip would leave it, for the length of the test."""
    monkeypatch.syspath_prepend(tmp_path)

    def put(package: str, source: str, *entry_points: str) -> None:
        (tmp_path / f"{package}.py").write_text(textwrap.dedent(source))
        about = tmp_path / f"{package}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text("\n".join(["[laser_verl.formats]", *entry_points, ""]))
        formats._find.cache_clear()

    yield put
    formats._find.cache_clear()


FINAL_LINE = """
    from laser_verl.scoring.formats import Parsed

    def read(response, prompt_opens_think):
        head, mark, answer = response.rpartition("Answer:")
        return Parsed(bool(mark) and not prompt_opens_think, answer.strip() or None)
"""


def test_an_installed_package_adds_a_format(install: Install) -> None:
    install("final_line_package", FINAL_LINE, "final_line = final_line_package:read")
    assert formats.known() == ("deepseek", "boxed", "answer_tag", "final_line")
    assert parse("so\nAnswer: 7", "final_line") == Parsed(True, "7")
    assert parse("so\nAnswer: 7", "final_line", True) == Parsed(False, "7")
    assert parse("so\nAnswer:", "final_line") == Parsed(True, None)
    assert parse("so 7", "final_line") == Parsed(False, "so 7")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("deepsek", "thinking='deepsek' is unknown; known: deepseek, boxed, answer_tag; did you mean 'deepseek'?"),
        ("answer-tag", "did you mean 'answer_tag'?"),
        ("Boxed", "did you mean 'boxed'?"),
        ("", "thinking='' is unknown; known: deepseek, boxed, answer_tag"),
        (None, "thinking=None is unknown"),
        (["boxed"], r"thinking=['boxed'] is unknown"),
    ],
)
def test_an_unknown_format_is_an_error_with_the_known_ones(name: str, message: str) -> None:
    with pytest.raises(ValueError, match="is unknown") as raised:
        formats.reader(name)
    assert message in str(raised.value)


def test_an_added_format_is_among_the_known_ones(install: Install) -> None:
    install("known_package", FINAL_LINE, "final_line = known_package:read")
    with pytest.raises(ValueError, match="known: deepseek, boxed, answer_tag, final_line; did you mean 'final_line'"):
        formats.reader("finalline")


@pytest.mark.parametrize(
    ("source", "entry", "reason"),
    [
        ("import no_such_module", "x = broken_package:read", "No module named 'no_such_module'"),
        ("raise RuntimeError('two\\nlines')", "x = broken_package:read", "RuntimeError: two lines"),
        ("read = 1", "x = broken_package:reed", "has no attribute 'reed'"),
        ("read = 1", "x = broken_package:read", "is no function: 1"),
    ],
)
def test_a_format_that_fails_to_load_is_an_error_with_package_and_reason(
    install: Install, monkeypatch: pytest.MonkeyPatch, source: str, entry: str, reason: str
) -> None:
    monkeypatch.delitem(sys.modules, "broken_package", raising=False)
    install("broken_package", source, entry)
    with pytest.raises(ValueError, match="thinking='x': broken_package") as raised:
        formats.reader("x")
    assert reason in str(raised.value)
    assert entry in str(raised.value)
    assert formats.reader("deepseek")(r"<think></think>\boxed{7}", False) == Parsed(True, "7")


def test_a_package_may_not_take_the_name_of_a_shipped_format(install: Install) -> None:
    install("greedy_package", FINAL_LINE, "boxed = greedy_package:read")
    with pytest.raises(ValueError, match=r"thinking='boxed' is a format of laser_verl, and greedy_package"):
        parse(r"\boxed{7}", "boxed")
    assert formats.known() == ("deepseek", "boxed", "answer_tag")


def test_two_packages_may_not_take_one_name(install: Install) -> None:
    for package in ("first_package", "second_package"):
        install(package, FINAL_LINE, f"x = {package}:read")
    with pytest.raises(ValueError, match=r"first_package .*second_package .*uninstall one") as raised:
        formats.reader("x")
    assert "thinking='x'" in str(raised.value)


@pytest.mark.parametrize(
    ("index", "returned", "message"),
    [
        (0, "1 / 0", "raised ZeroDivisionError: division by zero"),
        (1, "None", "returned None"),
        (2, "(True, '7')", "returned (True, '7')"),
        (3, "Parsed(1, '7')", "returned Parsed(well_formed=1, answer='7')"),
        (4, "Parsed(True, 7)", "returned Parsed(well_formed=True, answer=7)"),
        (5, "response.no_such", "raised AttributeError"),
    ],
)
def test_a_format_that_misbehaves_is_an_error_not_a_wrong_answer(
    install: Install, index: int, returned: str, message: str
) -> None:
    package = f"bad_package_{index}"
    source = f"from laser_verl.scoring.formats import Parsed\ndef read(response, opens):\n    return {returned}\n"
    install(package, source, f"x = {package}:read")
    with pytest.raises(ValueError, match="thinking='x': ") as raised:
        parse("7", "x")
    assert message in str(raised.value)
    assert f"{package} (entry point x = {package}:read)" in str(raised.value)

"""`laser-verl simulate`: rewards by hand, state over lines, and what malformed input does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from laser_verl.cli import app

# The groups easy, mixed and hard of the golden case `laser-d/three-buckets`.
LENGTHS = [800, 1200, 1500, 2000, 3000, 4000, 6000, 9000]
EASY = [1, 1, 1, 1, 1, 1, 1, 0]
MIXED = [1, 1, 1, 1, 0, 1, 0, 0]
HARD = [0, 0, 1, 0, 0, 0, 0, 0]
THREE_BUCKETS = {
    "prompt": [0] * 8 + [1] * 8 + [2] * 8,
    "response_length": LENGTHS * 3,
    "correct": EASY + MIXED + HARD,
    "well_formed": [1] * 24,
}
FIXED_TARGETS = {"target_lengths": {"easy": 2048, "medium": 4096, "hard": 8192}}


def batch(lengths: list[int], correct: list[int], **more: Any) -> dict[str, Any]:
    """A batch of one group."""
    size = len(lengths)
    return {"prompt": ["p"] * size, "response_length": lengths, "correct": correct, "well_formed": [1] * size, **more}


def write(path: Path, lines: list[Any]) -> str:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return str(path)


def simulate(*arguments: str, stdin: str | bytes | None = None) -> Any:
    return CliRunner().invoke(app, ["simulate", *arguments], input=stdin)


def rewards(path: str, method: str, options: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    result = simulate(method, "--input", path, "--options", json.dumps(options or {}))
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_laser_d_replays_the_golden_case_of_three_bands(tmp_path: Path) -> None:
    [line] = rewards(write(tmp_path / "batch.jsonl", [THREE_BUCKETS]), "laser_d", FIXED_TARGETS)
    assert line["reward"][:8] == [1.5, 1.5, 1.5, 1.5, 1.0, 1.0, 1.0, -0.5]
    assert line["reward"][8:16] == [1.5, 1.5, 1.5, 1.5, -0.5, 1.5, -0.5, -0.5]
    assert line["reward"][16:] == [-0.5, -0.5, 1.5, -0.5, -0.5, -0.5, -0.5, -0.5]
    assert line["target_length"] == [2048] * 8 + [4096] * 8 + [8192] * 8
    assert line["band"] == ["easy"] * 8 + ["medium"] * 8 + ["hard"] * 8
    assert line["task_reward"][:8] == [1.0] * 7 + [-0.5]
    assert line["length_reward"][:8] == [0.5] * 4 + [0.0] * 4


def test_laser_de_replays_the_golden_case_of_three_bands(tmp_path: Path) -> None:
    [line] = rewards(write(tmp_path / "batch.jsonl", [THREE_BUCKETS]), "laser_de", FIXED_TARGETS)
    # Wrong and above the target of its band: -0.5 + 0.5.
    assert line["reward"][7] == 0.0
    assert line["reward"][8:16] == [1.5, 1.5, 1.5, 1.5, -0.5, 1.5, 0.0, 0.0]
    assert line["reward"][16:] == [-0.5, -0.5, 1.5, -0.5, -0.5, -0.5, -0.5, 0.0]


def test_a_method_without_bands_has_null_for_them(tmp_path: Path) -> None:
    path = write(tmp_path / "batch.jsonl", [batch([4000, 4001, 5], [1, 1, 0])])
    [line] = rewards(path, "laser", {"target_length": 4000})
    assert line == {
        "reward": [1.5, 1.0, -0.5],
        "task_reward": [1.0, 1.0, -0.5],
        "length_reward": [0.5, 0.0, 0.0],
        "band": None,
        "target_length": [4000, 4000, 4000],
    }


def test_a_response_whose_method_in_a_mixture_has_no_bands_has_null_for_it(tmp_path: Path) -> None:
    line = batch([2000, 10, 10, 10], [1, 0, 1, 1], data_source=["math", "math", "chat", "chat"])
    line["prompt"] = ["p", "p", "q", "q"]
    options = {"per_data_source": {"math": {"method": "laser_d", **FIXED_TARGETS}, "chat": "none"}}
    [out] = rewards(write(tmp_path / "b.jsonl", [line]), "mixed", options)
    # 1 of 2 solved is medium
    assert out["band"] == ["medium", "medium", None, None]
    assert out["target_length"] == [4096, 4096, None, None]


def test_adaptive_targets_are_live_in_the_first_line_and_carry_over(tmp_path: Path) -> None:
    lines = [batch([5, 15, 25], [1, 1, 1], max_response_length=40), batch([5, 15, 25], [1, 1, 1])]
    path = write(tmp_path / "batches.jsonl", lines)
    options = {"lower_bound": 10, "interval": 10, "update_every": 1}
    first, second = rewards(path, "laser_d", options)
    # K = 3, all solved: easy, C_d = ceil(2*3/3) = 2. Coverage of 10 is 1/3 (2/3 < 1), of 20 is 2/3 (4/3 >= 1): 20.
    assert first["target_length"] == [20, 20, 20]
    assert first["reward"] == [1.5, 1.5, 1.0]
    assert second == first


def test_targets_stay_until_the_next_update(tmp_path: Path) -> None:
    # Line 2 has easy responses of at most 5 tokens, which would bring the target down to 10.
    lines = [batch([35, 35, 35], [1, 1, 1]), batch([5, 5, 5], [1, 1, 1]), batch([5, 5, 5], [1, 1, 1])]
    path = write(tmp_path / "batches.jsonl", lines)
    options = {"lower_bound": 10, "upper_bound": 40, "interval": 10, "update_every": 2, "window": 1}
    assert [line["target_length"][0] for line in rewards(path, "laser_d", options)] == [40, 40, 10]


def test_steps_default_to_line_numbers_and_may_be_given(tmp_path: Path) -> None:
    # Steps 1 and 7 are six apart: with update_every=6 the second line updates, with 7 it does not.
    lines = [batch([35, 35], [1, 1], step=1), batch([5, 5], [1, 1], step=7)]
    path = write(tmp_path / "batches.jsonl", lines)
    options = {"lower_bound": 10, "upper_bound": 40, "interval": 10, "window": 1}
    assert [line["target_length"][0] for line in rewards(path, "laser_d", {**options, "update_every": 6})] == [40, 10]
    assert [line["target_length"][0] for line in rewards(path, "laser_d", {**options, "update_every": 7})] == [40, 40]


def test_malformed_and_looping_responses_are_told_apart(tmp_path: Path) -> None:
    line = batch([10, 90, 90, 90], [1, 0, 0, 1], repetitive=[0, 0, 1, 0])
    line["well_formed"] = [1, 1, 1, 0]
    [out] = rewards(
        write(tmp_path / "b.jsonl", [line]), "laser_de", {"target_lengths": {"easy": 50, "medium": 50, "hard": 50}}
    )
    # Solved and short; wrong and long explores; wrong and looping does not; malformed never.
    assert out["reward"] == [1.5, 0.0, -0.5, -1.0]
    # 1 of 4 solved.
    assert out["band"] == ["hard"] * 4


def test_a_users_own_score_is_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "b.jsonl", [batch([10, 10], [1, 0], task_score=[7, 3])])
    [out] = rewards(path, "laser", {"target_length": 10})
    assert (out["task_reward"], out["reward"]) == ([7.0, 3.0], [7.5, 3.0])


def test_an_empty_batch_gives_empty_lists(tmp_path: Path) -> None:
    [out] = rewards(write(tmp_path / "b.jsonl", [batch([], [])]), "laser_d", FIXED_TARGETS)
    assert out == {"reward": [], "task_reward": [], "length_reward": [], "band": [], "target_length": []}


def test_further_columns_of_any_kind_are_accepted(tmp_path: Path) -> None:
    line = batch(
        [10, 10],
        [1, 0],
        uses_thinking=[True, False],
        has_eos=[1, 1],
        budget=64,
        reference_length=[3, None],
        data_source=["a", "b"],
        tags=[["x"], []],
        note={"free": "text"},
    )
    [out] = rewards(write(tmp_path / "b.jsonl", [line]), "laser", {"target_length": 10})
    assert out["reward"] == [1.5, -0.5]


def test_blank_lines_and_a_byte_order_mark_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "b.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(batch([10], [1])).encode() + b"\r\n\n")
    assert len(rewards(str(path), "laser", {"target_length": 10})) == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not a line of JSON"),
        ("[1, 2]", "must be a JSON object"),
        ("5", "not a number"),
        ('{"prompt": [1], "prompt": [2]}', "'prompt' is given twice"),
        ('{"prompt": ["p"], "response_length": [NaN], "correct": [1], "well_formed": [1]}', "NaN is not a finite"),
        ('{"prompt": ["p"], "response_length": [1e999], "correct": [1], "well_formed": [1]}', "response_length[0]=inf"),
        ("[" * 100_000, "not a line of JSON"),
        ({"prompt": [1], "response_length": [1], "correct": [1]}, "'well_formed' is missing"),
        (batch([1, 2], [1]), "correct has 1 rows"),
        (batch([-1], [1]), "response_length[0]=-1"),
        (batch([1.5], [1]), "response_length[0]=1.5"),  # type: ignore[list-item]
        (batch([1], [2]), "correct[0]=2"),
        (batch([1], [None]), "correct[0]=None"),  # type: ignore[list-item]
        (batch([1], [1], prompt=[["p"]]), "prompt[0]=['p'] cannot be an id"),
        (batch([1], [1], prompt="p"), "prompt must be a list"),
        (batch([1], [1], step=-1), "step=-1"),
        (batch([1], [1], step=True), "step=True"),
        (batch([1], [1], max_response_length="many"), "max_response_length='many'"),
        (batch([1], [1], repetitve=[0]), "did you mean 'repetitive'?"),
        (batch([1], [1], reference_length=[1, 2]), "reference_length"),
    ],
)
def test_a_bad_line_is_named_and_ends_the_output(tmp_path: Path, line: Any, message: str) -> None:
    path = write(tmp_path / "b.jsonl", [batch([10], [1]), line, batch([10], [1])])
    result = simulate("laser", "--input", path, "--options", '{"target_length": 10}')
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 1
    assert f"{path}:2: " in result.stderr
    assert message in result.stderr


def test_text_that_is_no_utf_8_is_a_bad_line(tmp_path: Path) -> None:
    path = tmp_path / "b.jsonl"
    path.write_bytes(b"\xff\xfe\n")
    result = simulate("laser", "--input", str(path), "--options", '{"target_length": 10}')
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{path}:1: " in result.stderr


def test_steps_that_go_back_are_bad_data(tmp_path: Path) -> None:
    path = write(tmp_path / "b.jsonl", [batch([10], [1], step=5), batch([10], [1], step=4)])
    result = simulate("laser_d", "--input", path, "--options", '{"upper_bound": 4096}')
    assert result.exit_code == 1
    assert f"{path}:2: method laser_d fails on the group 'p': step=4" in result.stderr


def test_a_file_without_lines_is_bad_data(tmp_path: Path) -> None:
    result = simulate("laser", "--input", write(tmp_path / "b.jsonl", []), "--options", '{"target_length": 10}')
    assert (result.exit_code, result.stdout) == (1, "")
    assert "holds no batch" in result.stderr


@pytest.mark.parametrize("command", [("simulate", "none"), ("targets",)])
def test_standard_input_without_lines_is_called_by_its_name(command: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*command, "--input", "-"], input="")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("laser_verl: standard input holds no batch")


@pytest.mark.parametrize(("method", "code"), [("laser_d", 2), ("drpo", 1)])
def test_a_limit_that_is_not_known_may_come_from_the_line(tmp_path: Path, method: str, code: int) -> None:
    path = write(tmp_path / "b.jsonl", [batch([10, 20], [1, 0])])
    result = simulate(method, "--input", path)
    assert result.exit_code == code
    assert "or give each line of --input the key max_response_length" in result.stderr
    path = write(tmp_path / "b.jsonl", [batch([10, 20], [1, 0], max_response_length=4096)])
    assert simulate(method, "--input", path).exit_code == 0


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("laser_dd", "{}", "did you mean 'laser_d'?"),
        ("laser", '{"target_lenght": 10}', "did you mean 'target_length'?"),
        ("laser", "{}", "target_length"),
        ("laser", '{"target_length": 0}', "target_length=0"),
        ("laser", '{"target_length": 10, "alpha": true}', "alpha=True"),
        ("laser", '{"target_length": 10, "alpha": NaN}', "NaN"),
        ("laser", "{target_length: 10}", "not JSON"),
        ("laser", "[]", "must be a JSON object"),
        ("laser_d", "{}", "upper_bound"),
        ("laser_d", '{"source": "monitor", "upper_bound": 4096}', "recent"),
    ],
)
def test_wrong_methods_and_options_are_wrong_usage(tmp_path: Path, method: str, options: str, message: str) -> None:
    result = simulate(method, "--input", write(tmp_path / "b.jsonl", [batch([10], [1])]), "--options", options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("laser_verl: ")
    assert message in result.stderr


def test_a_missing_file_is_wrong_usage(tmp_path: Path) -> None:
    result = simulate("laser", "--input", str(tmp_path / "no.jsonl"), "--options", '{"target_length": 10}')
    assert (result.exit_code, result.stdout) == (2, "")
    assert "does not exist" in result.stderr


def test_a_dash_reads_standard_input_and_errors_say_so() -> None:
    arguments = ("laser", "--input", "-", "--options", '{"target_length": 10}')
    result = simulate(*arguments, stdin=json.dumps(batch([10], [1])) + "\n{\n")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["reward"] == [1.5]
    assert "standard input:2: " in result.stderr


def test_an_advantage_rule_is_applied_to_plain_correctness(tmp_path: Path) -> None:
    [line] = rewards(write(tmp_path / "batch.jsonl", [batch(LENGTHS, MIXED)]), "ddca", {"weight": 0.2})
    assert line["reward"] == line["task_reward"] == MIXED
    # the golden case `ddca/mixed`
    expected = [0.80107838, 0.79156029, 0.78368893, 0.76986568, -1.29099442, 0.72678999, -1.29099442, -1.29099442]
    assert line["advantage"] == pytest.approx(expected, abs=1e-5)


def test_a_name_that_is_a_reward_and_a_rule_is_the_reward(tmp_path: Path) -> None:
    [line] = rewards(write(tmp_path / "batch.jsonl", [batch([10, 20], [1, 0])]), "grpo_lead")
    assert "advantage" not in line
    assert line["reward"][1] == -1.0


def test_wrong_options_of_an_advantage_rule_are_wrong_usage(tmp_path: Path) -> None:
    path = write(tmp_path / "batch.jsonl", [batch(LENGTHS, MIXED)])
    result = simulate("ddca", "--input", path, "--options", '{"weigh": 1}')
    assert result.exit_code == 2
    assert "did you mean 'weight'" in result.stderr


def test_the_key_of_a_prompt_carries_its_history_from_batch_to_batch(tmp_path: Path) -> None:
    # the golden case `hapo/sequence-min`: nobody right, then a shortest right answer of 2500 tokens to come in under
    lines = [
        batch([3000, 2000, 4000, 2500], [0, 0, 0, 0]),
        batch([3000, 2000, 4000, 2500], [1, 0, 1, 1]),
        batch([2400, 1800, 2600, 5200], [1, 0, 1, 0]),
    ]
    last = rewards(write(tmp_path / "batches.jsonl", lines), "hapo")[2]
    assert last["reward"] == pytest.approx([1.0628, 0.0, 0.9372, -1.0], abs=1e-4)
    assert last["target_length"] == [2500] * 4


def test_a_mixture_has_the_history_of_its_prompts(tmp_path: Path) -> None:
    lines = [batch([400, 90, 300], [1, 1, 1]), batch([200, 90, 400], [1, 1, 1]), batch([100, 90, 100], [0, 1, 1])]
    for line, malformed in zip(lines, (0, 0, 1), strict=True):
        line |= {"prompt": ["a", "c", "b"], "data_source": ["math", "chat", "code"]}
        line["well_formed"][2] = 1 - malformed
    options = {"per_data_source": {"math": "hapo", "code": {"method": "hapo", "weight": 0.5}, "default": "none"}}
    first, second, third = rewards(write(tmp_path / "batches.jsonl", lines), "mixed", options)
    assert first["reward"] == [1.0, 1.0, 1.0]
    assert first["target_length"] == [None, None, None]
    # a: half of 400, cos(pi/4); b: 4/3 of 300, cos(2/3 pi) = -0.5, of which half
    assert second["reward"] == pytest.approx([1 + 0.5**0.5, 1.0, 0.75])
    assert second["target_length"] == [400, None, 300]
    # wrong, and right in a bad format: min(0, f), with f above 0 below the shortest
    assert third["reward"] == pytest.approx([0.0, 1.0, 0.0], abs=1e-12)
    assert third["target_length"] == [200, None, 300]


def test_a_history_that_a_line_brings_comes_before_that_of_the_lines_before(tmp_path: Path) -> None:
    lines = [batch([400, 600], [1, 1]), batch([200, 200], [1, 1], shortest_correct=[200, None])]
    last = rewards(write(tmp_path / "batches.jsonl", lines), "hapo")[1]
    assert last["target_length"] == [200, None]
    assert last["reward"] == pytest.approx([1.0, 1.0])


def test_a_misspelt_history_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "b.jsonl", [batch([10], [1], shortest_corect=[5])])
    result = simulate("hapo", "--input", path)
    assert result.exit_code == 1
    assert "did you mean 'shortest_correct'?" in result.stderr

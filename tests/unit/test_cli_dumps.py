"""verl's rollout dumps as input of `simulate` and `targets`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from laser_verl.cli import app


def response(uid: str, step: int, length: int, correct: bool, **more: Any) -> dict[str, Any]:
    """A line as laser_verl's trainer modes dump it."""
    return {
        "input": "1+1?",
        "output": "<think>…</think> \\boxed{2}",
        "gts": "2",
        "score": 99.0,
        "step": step,
        "uid": uid,
        "task_reward": 1.0 if correct else -0.5,
        "correct": correct,
        "well_formed": True,
        "response_length": length,
        "data_source": "tiny",
        "prompt_key": "00ff",
        "repetitive": False,
        "truncated": False,
        **more,
    }


def dump(folder: Path, step: int, rows: list[dict[str, Any]]) -> Path:
    path = folder / f"{step}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run(*arguments: str, stdin: str | None = None) -> Any:
    return CliRunner().invoke(app, list(arguments), input=stdin)


def lines(result: Any) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


TARGETS_50 = '{"target_lengths": {"easy": 50, "medium": 50, "hard": 50}}'
# uid itself may hold underscores: the group is what stands before the last two.
STEP_3 = [
    response("a_b_0_0", 3, 40, True),
    response("a_b_1_0", 3, 60, True),
    response("a_b_2_0", 3, 60, True),
    response("a_c_0_0", 3, 40, False),
    response("a_c_1_0", 3, 60, False),
    response("a_c_2_0", 3, 60, False),
]


def test_a_dump_is_one_batch_grouped_by_uid(tmp_path: Path) -> None:
    [line] = lines(run("simulate", "laser_d", "--input", str(dump(tmp_path, 3, STEP_3)), "--options", TARGETS_50))
    assert line["band"] == ["easy"] * 3 + ["hard"] * 3
    # The recorded score, 99, was shaped already and is not used.
    assert line["reward"] == [1.5, 1.0, 1.0, -0.5, -0.5, -0.5]


def test_a_folder_is_read_in_the_order_of_its_steps(tmp_path: Path) -> None:
    for step, length in ((10, 10), (9, 60)):
        dump(tmp_path, step, [response("u_0_0", step, length, True)])
    (tmp_path / "notes.jsonl").write_text("no dump\n")
    first, second = lines(run("simulate", "laser_d", "--input", str(tmp_path), "--options", TARGETS_50))
    assert (first["reward"], second["reward"]) == ([1.0], [1.5])


def test_dumps_joined_on_standard_input_are_told_apart_by_step(tmp_path: Path) -> None:
    rows = [*STEP_3, response("a_b_0_0", 4, 40, True)]
    stdin = "".join(json.dumps(row) + "\n" for row in rows)
    results = lines(run("simulate", "laser_d", "--input", "-", "--options", TARGETS_50, stdin=stdin))
    assert [len(line["reward"]) for line in results] == [6, 1]


def test_a_users_own_score_in_a_dump_is_kept(tmp_path: Path) -> None:
    path = dump(tmp_path, 1, [response("u_0_0", 1, 40, True, task_score=7.0)])
    [line] = lines(run("simulate", "laser_d", "--input", str(path), "--options", TARGETS_50))
    assert line["reward"] == [7.5]


def test_targets_read_a_folder_of_dumps(tmp_path: Path) -> None:
    dump(tmp_path, 3, STEP_3)
    [line] = lines(run("targets", "--input", str(tmp_path), "--lower", "20", "--upper", "80", "--interval", "20"))
    # K = 3. Easy: C_d = 2, coverage of 40 is 1/3 (2/3 < 1), of 60 is 1: 60. Hard: C_d = 1, full coverage at 60.
    assert line["target_length"] == {"easy": 60, "medium": 80, "hard": 60}
    assert line["num_prompts"] == {"easy": 1, "medium": 0, "hard": 1}


def test_a_dump_of_stock_verl_is_refused_with_the_modes_that_record_more(tmp_path: Path) -> None:
    row = {"input": "1+1?", "output": "2", "gts": "2", "score": 1.0, "step": 1, "uid": "u_0_0"}
    result = run("simulate", "laser_d", "--input", str(dump(tmp_path, 1, [row])), "--options", TARGETS_50)
    assert (result.exit_code, result.stdout) == (1, "")
    for part in ("1.jsonl:1: ", "response_length, correct, well_formed", "trainer.v1.trainer_mode=laser_sync"):
        assert part in result.stderr


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"uid": "u"}, "uid='u'"),
        ({"step": None}, "step=null"),
        ({"step": "3"}, "step='3'"),
        ({"repetitive": ...}, "'repetitive' is missing"),
        ({"uid": ...}, "'uid' is missing"),
    ],
)
def test_a_bad_line_of_a_dump_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    bad = {key: value for key, value in {**STEP_3[1], **change}.items() if value is not ...}
    path = dump(tmp_path, 3, [STEP_3[0], bad])
    result = run("simulate", "laser_d", "--input", str(path), "--options", TARGETS_50)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{path}:2: " in result.stderr
    assert message in result.stderr


def test_a_folder_without_dumps_is_wrong_usage(tmp_path: Path) -> None:
    result = run("simulate", "laser_d", "--input", str(tmp_path), "--options", TARGETS_50)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "trainer.rollout_data_dir" in result.stderr

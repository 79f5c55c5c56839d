"""`laser-verl targets`: the golden monitor cases and small ones by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from laser_verl.cli import app

# The inputs of the golden cases `laser-d/monitor-choose-ceil` and `-floor`: prompt p has 8 - p correct responses.
PROMPTS = [p for p in range(9) for _ in range(8)]
LENGTHS = [1500 + 937 * p + 700 * r for p in range(9) for r in range(8)]
CORRECT = [r < 8 - p for p in range(9) for r in range(8)]
MONITOR = {"prompt": PROMPTS, "response_length": LENGTHS, "correct": CORRECT, "well_formed": [True] * 72}
GRID = [str(tokens) for tokens in range(2048, 16385, 1024)]
COVERAGE = {
    "easy": [0.04166667, 0.16666667, 0.375, 0.54166667, 0.70833333, 0.875, 0.95833333] + [1.0] * 8,
    "medium": [0.0, 0.0, 0.0, 0.08333333, 0.20833333, 0.41666667, 0.58333333, 0.79166667, 0.91666667] + [1.0] * 6,
    "hard": [0.0] * 5 + [0.04166667, 0.125, 0.25, 0.45833333, 0.625, 0.83333333, 0.95833333, 1.0, 1.0, 1.0],
}


def targets(lines: list[dict[str, Any]], *arguments: str) -> dict[str, Any]:
    stdin = "".join(json.dumps(line) + "\n" for line in lines)
    result = CliRunner().invoke(app, ["targets", "--input", "-", *arguments], input=stdin)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.parametrize(
    ("rounding", "expected"),
    [
        ("ceil", {"easy": 3072, "medium": 7168, "hard": 14336}),
        ("floor", {"easy": 4096, "medium": 8192, "hard": 14336}),
    ],
)
def test_replays_the_golden_monitor_cases(tmp_path: Path, rounding: str, expected: dict[str, int]) -> None:
    path = tmp_path / "monitor.jsonl"
    path.write_text(json.dumps(MONITOR) + "\n")
    bounds = ["--lower", "2048", "--upper", "16384", "--interval", "1024", "--rounding", rounding]
    result = CliRunner().invoke(app, ["targets", "--input", str(path), *bounds])
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert list(found) == ["target_length", "num_prompts", "coverage"]
    assert found["target_length"] == expected
    assert found["num_prompts"] == {"easy": 3, "medium": 3, "hard": 3}
    for band, shares in COVERAGE.items():
        assert list(found["coverage"][band]) == GRID
        assert list(found["coverage"][band].values()) == pytest.approx(shares, abs=1e-5)


def test_all_lines_count_together() -> None:
    one_prompt_a_line = [{key: values[8 * p : 8 * p + 8] for key, values in MONITOR.items()} for p in range(9)]
    assert targets(one_prompt_a_line) == targets([MONITOR])


def test_a_prompt_that_returns_on_a_later_line_is_another_group() -> None:
    solved = {"prompt": ["p"] * 3, "response_length": [5, 5, 5], "correct": [1, 1, 1], "well_formed": [1, 1, 1]}
    unsolved = {**solved, "correct": [0, 0, 0]}
    # Together they would be one medium group with 3 of 6 solved.
    assert targets([solved, unsolved])["num_prompts"] == {"easy": 1, "medium": 0, "hard": 1}


def test_an_empty_band_gets_the_upper_bound_and_the_grid_ends_there() -> None:
    line = {"prompt": ["p"] * 3, "response_length": [5, 11, 12], "correct": [1, 1, 1], "well_formed": [1, 1, 1]}
    found = targets([line], "--lower", "4", "--upper", "14", "--interval", "4")
    # K = 3, easy, C_d = 2: on the grid 4, 8, 12, 14 coverage 0, 1/3, 1, 1, so 12 is the first with coverage >= 1/2.
    assert found["target_length"] == {"easy": 12, "medium": 14, "hard": 14}
    assert found["coverage"]["easy"] == {"4": 0.0, "8": pytest.approx(1 / 3), "12": 1.0, "14": 1.0}
    assert found["coverage"]["hard"] == {"4": 0.0, "8": 0.0, "12": 0.0, "14": 0.0}


def test_badly_formed_responses_are_not_solved() -> None:
    line = {"prompt": ["p"] * 3, "response_length": [5, 5, 5], "correct": [1, 1, 1], "well_formed": [0, 0, 0]}
    assert targets([line])["num_prompts"] == {"easy": 0, "medium": 0, "hard": 1}


def test_empty_batches_give_the_upper_bound_everywhere() -> None:
    empty = {"prompt": [], "response_length": [], "correct": [], "well_formed": []}
    found = targets([empty, empty], "--upper", "4096")
    assert found["target_length"] == {"easy": 4096, "medium": 4096, "hard": 4096}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--lower", "5000", "--upper", "4096"], "upper_bound=4096 is below lower_bound=5000"),
        (["--interval", "0"], "interval=0"),
        (["--rounding", "round"], "'round'"),
        (["--lower", "many"], "'--lower'"),
    ],
)
def test_wrong_bounds_are_wrong_usage(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["targets", "--input", "-", *arguments], input=json.dumps(MONITOR))
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def dump(folder: Path, step: int, lengths: list[int], solved: int) -> None:
    """One prompt as our trainer modes dump it; the first `solved` responses are right."""
    rows = [
        {"uid": f"{folder.name}_{row}_0", "step": step, "response_length": length, "correct": row < solved}
        for row, length in enumerate(lengths)
    ]
    folder.mkdir(exist_ok=True)
    text = "".join(json.dumps({**row, "output": "", "score": 0.0, "well_formed": True}) + "\n" for row in rows)
    (folder / f"{step}.jsonl").write_text(text)


def targets_of(source: Path) -> dict[str, Any]:
    bounds = ["--lower", "10", "--upper", "40", "--interval", "10"]
    result = CliRunner().invoke(app, ["targets", "--input", str(source), *bounds])
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_the_last_pass_over_a_monitor_set_stands_beside_the_training(tmp_path: Path) -> None:
    run = tmp_path / "dumps"
    # K = 4; easy, C_d = 3: 2 of 4 at 10 are enough
    dump(run, 1, [5, 10, 30, 40], 4)
    alone = targets_of(run)
    assert list(alone) == ["target_length", "num_prompts", "coverage"]
    assert alone["target_length"] == {"easy": 10, "medium": 40, "hard": 40}
    dump(run / "monitor", 1, [40] * 4, 0)
    dump(run / "monitor", 21, [5] * 4, 4)
    # the last by number, not by name; medium, C_d = 2: 2 of 4 at 20 are enough
    dump(run / "monitor", 101, [15, 20, 30, 30], 2)
    (run / "monitor" / "notes.jsonl").write_text("no dump\n")
    both = targets_of(run)
    monitor = both.pop("monitor")
    assert both == alone
    assert list(monitor) == ["step", "target_length", "num_prompts", "coverage"]
    assert monitor["step"] == 101
    assert monitor["target_length"] == {"easy": 40, "medium": 20, "hard": 40}
    assert monitor["num_prompts"] == {"easy": 0, "medium": 1, "hard": 0}
    assert monitor["coverage"]["medium"] == {"10": 0.0, "20": 0.5, "30": 1.0, "40": 1.0}
    # passes are no training batches, and of a file alone there are none
    assert targets_of(run / "1.jsonl") == alone


def test_a_monitor_folder_without_passes_changes_nothing(tmp_path: Path) -> None:
    dump(tmp_path, 1, [5, 10, 30, 40], 4)
    (tmp_path / "monitor").mkdir()
    (tmp_path / "monitor" / "notes.jsonl").write_text("no dump\n")
    assert "monitor" not in targets_of(tmp_path)


def test_a_pass_that_cannot_be_read_is_bad_data(tmp_path: Path) -> None:
    dump(tmp_path, 1, [5, 10, 30, 40], 4)
    dump(tmp_path / "monitor", 1, [5], 1)
    (tmp_path / "monitor" / "21.jsonl").write_text("{\n")
    result = CliRunner().invoke(app, ["targets", "--input", str(tmp_path)])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "21.jsonl:1: not a line of JSON" in result.stderr


def test_no_line_at_all_is_bad_data() -> None:
    result = CliRunner().invoke(app, ["targets", "--input", "-"], input="")
    assert (result.exit_code, result.stdout) == (1, "")

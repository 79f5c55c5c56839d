"""`laser-verl state`: what a checkpoint of ours holds, for people, for programs and as a table; it changes nothing."""

from __future__ import annotations

import csv
import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet
from typer.testing import CliRunner

from laser_verl import __version__
from laser_verl.cli import app
from laser_verl.commands import prompt_table
from laser_verl.core import state as state_file
from laser_verl.core.prompt_index import key_numbers
from laser_verl.core.rollouts import Rollouts
from laser_verl.core.state import save_state
from laser_verl.core.tracker import DifficultyTracker

A, B, C, D, E = (f"{number:016x}" for number in (255, 16, 1, 2, 2**64 - 1))
FINGERPRINT = {"rollout_n": 4, "train_files": ["train.parquet"], "train_rows": 5}
METHOD = {"method": "laser_d", "version": 1, "targets": np.array([2048, 4096, 8192])}
SAMPLER = {
    "pool": "0f",
    "policy": "band_mix",
    "seed": 7,
    "position": {"draws": 12, "exploring": {"round": 0, "place": 3}, "policy": {"round": 2, "place": 5}},
    "learned": {},
}
COLUMNS = [
    "prompt_key",
    "drawn",
    "responses",
    "solved",
    "pass_rate",
    "band",
    "last_step",
    "mean_correct_length",
    "shortest_correct",
    "solved_streak",
    "failed_streak",
]


def tracker_state() -> dict[str, Any]:
    """Five prompts, in groups of four; C is not seen."""
    tracker = DifficultyTracker(decay=0.5)
    tracker.add(key_numbers([A, B, C, D, E]))

    def observe(step: int, **groups: tuple[list[int], list[int]]) -> None:
        names = [name for name in groups for _ in range(4)]
        keys = [{"a": A, "b": B, "d": D, "e": E}[name] for name in names]
        lengths = [length for group in groups.values() for length in group[0]]
        correct = [right for group in groups.values() for right in group[1]]
        tracker.observe(Rollouts.build(names, lengths, correct, step=step, prompt_key=keys))

    observe(1, a=([10, 20, 30, 40], [1, 1, 1, 1]), b=([50, 60, 70, 80], [1, 0, 0, 0]))
    observe(2, d=([9, 9, 9, 9], [0, 0, 0, 0]))
    observe(3, a=([5, 15, 1, 1], [1, 1, 0, 0]), e=([7, 7, 7, 7], [1, 1, 1, 1]))
    return tracker.state_dict()


# A: 0.5 * 4 + 4 responses weigh 6, of which 0.5 * 4 + 2 = 4 solved; (10 + 20 + 30 + 40 + 5 + 15) / 6 = 20 tokens
ROWS: list[list[Any]] = [
    [A, 2, 8, 6, pytest.approx(2 / 3), "easy", 3, 20.0, 5, 0, 0],
    [B, 1, 4, 1, 0.25, "hard", 1, 50.0, 50, 0, 0],
    [C, 0, 0, 0, None, None, None, None, None, 0, 0],
    [D, 1, 4, 0, 0.0, "hard", 2, None, None, 0, 1],
    [E, 1, 4, 4, 1.0, "easy", 3, 7.0, 7, 1, 0],
]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run's folder of checkpoints, with two of them."""
    root = tmp_path / "run"
    whole = {"fingerprint": FINGERPRINT, "method": METHOD, "tracker": tracker_state(), "sampler": SAMPLER}
    save_state(root / "global_step_3" / "laser_state", whole)
    save_state(root / "global_step_9" / "laser_state", {"fingerprint": {}, "method": {"method": "hapo"}})
    (root / "latest_checkpointed_iteration.txt").write_text("3\n")
    return root


def invoke(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, ["state", *map(str, arguments)])


def shown(path: Path) -> dict[str, Any]:
    result = invoke("show", path, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    summary: dict[str, Any] = json.loads(result.stdout)
    return summary


def refused(code: int, *arguments: str | Path) -> str:
    """The one line of an error."""
    result = invoke(*arguments)
    assert (result.exit_code, result.stdout) == (code, ""), result.stderr
    [line] = result.stderr.splitlines()
    assert line.startswith("laser_verl: ")
    return str(line.removeprefix("laser_verl: "))


def test_a_state_for_people(run: Path) -> None:
    result = invoke("show", run)
    assert (result.exit_code, result.stderr) == (0, "")
    path = run / "global_step_3" / "laser_state"
    bar = "#" * 40
    # (2/3 + 1/4 + 0 + 1) / 4 = 23/48 = 0.479
    assert result.stdout.splitlines() == [
        f"file        {path}",
        f"written by  laser_verl {__version__}, format 2",
        "step        3",
        "method      laser_d",
        "targets     easy 2048, medium 4096, hard 8192",
        "fingerprint rollout_n=4, train_files=['train.parquet'], train_rows=5",
        "sampler     band_mix, round 2, draws 12, seed 7",
        "prompts     5 known, 4 seen, mean pass rate 0.479",
        "drawn       5 groups of 20 responses in all, 1.2 groups a prompt seen, 2 at most",
        f"waiting     longest {B}, last seen at step 1",
        "",
        "pass rate   prompts",
        f"0.0 to 0.1  1 {bar}",
        "0.1 to 0.2  0",
        f"0.2 to 0.3  1 {bar}",
        "0.3 to 0.4  0",
        "0.4 to 0.5  0",
        "0.5 to 0.6  0",
        f"0.6 to 0.7  1 {bar}",
        "0.7 to 0.8  0",
        "0.8 to 0.9  0",
        f"0.9 to 1.0  1 {bar}",
        f"unseen      1 {bar}",
    ]


def test_a_state_for_programs(run: Path) -> None:
    summary = shown(run / "global_step_3")
    histogram = summary["prompts"].pop("histogram")
    assert summary == {
        "path": str(run / "global_step_3" / "laser_state"),
        "format": 2,
        "release": __version__,
        "step": 3,
        "method": "laser_d",
        "fingerprint": FINGERPRINT,
        "target_length": {"easy": 2048, "medium": 4096, "hard": 8192},
        "sampler": {"policy": "band_mix", "seed": 7, "draws": 12, "round": 2},
        "prompts": {
            "known": 5,
            "seen": 4,
            "pass_rate": pytest.approx(23 / 48),
            "groups": 5,
            "responses": 20,
            "most_drawn": 2,
            "longest_waiting": {"prompt_key": B, "last_step": 1},
        },
    }
    assert [(entry["from"], entry["to"]) for entry in histogram[:2]] == [(0.0, 0.1), (0.1, 0.2)]
    assert [entry["prompts"] for entry in histogram] == [1, 0, 1, 0, 0, 0, 1, 0, 0, 1]


def test_a_pass_rate_on_the_edge_of_two_bins_counts_in_the_upper_one(tmp_path: Path) -> None:
    tracker = DifficultyTracker()
    for solved in range(11):
        key = f"{solved:016x}"
        rollouts = Rollouts.build(
            ["p"] * 10, [1] * 10, [1] * solved + [0] * (10 - solved), step=1, prompt_key=[key] * 10
        )
        tracker.observe(rollouts)
    save_state(tmp_path / "laser_state", {"tracker": tracker.state_dict()})
    # 9 of 10 and 10 of 10 are both in the last one
    counts = [entry["prompts"] for entry in shown(tmp_path)["prompts"]["histogram"]]
    assert counts == [1, 1, 1, 1, 1, 1, 1, 1, 1, 2]


def test_what_a_state_does_not_hold_is_said(run: Path) -> None:
    summary = shown(run / "global_step_9" / "laser_state")
    assert {summary[key] for key in ("target_length", "sampler", "prompts")} == {None}
    assert (summary["step"], summary["method"], summary["fingerprint"]) == (9, "hapo", {})
    lines = invoke("show", run / "global_step_9").stdout.splitlines()
    assert lines[2:] == [
        "step        9",
        "method      hapo",
        "targets     none saved",
        "fingerprint not described",
        "sampler     none saved",
        "prompts     none saved",
    ]


def test_prompts_that_are_known_and_not_seen_and_a_state_of_nothing(tmp_path: Path) -> None:
    tracker = DifficultyTracker()
    save_state(tmp_path / "laser_state", {"tracker": tracker.state_dict(), "sampler": {"policy": "uniform"}})
    assert "prompts     0 known, 0 seen\n" in invoke("show", tmp_path).stdout
    tracker.add(key_numbers([A, B]))
    save_state(tmp_path / "laser_state", {"tracker": tracker.state_dict(), "sampler": {"policy": "uniform"}})
    prompts = shown(tmp_path)["prompts"]
    assert (prompts["known"], prompts["seen"], prompts["pass_rate"], prompts["longest_waiting"]) == (2, 0, None, None)
    text = invoke("show", tmp_path).stdout
    for line in ("step        unknown", "sampler     uniform, at its beginning", f"unseen      2 {'#' * 40}"):
        assert f"\n{line}\n" in text
    save_state(tmp_path / "laser_state", {})
    assert shown(tmp_path)["method"] is None


def test_a_mixture_shows_the_targets_of_each_data_source(tmp_path: Path) -> None:
    method = {
        "method": "mixed",
        "sources": '["math", "chat", "code"]',
        "0.targets": np.array([1, 2, 3]),
        "1.method": "none",
        "2.targets": np.array([4, 5, 6]),
    }
    save_state(tmp_path / "laser_state", {"method": method})
    assert shown(tmp_path)["target_length"] == {
        "math": {"easy": 1, "medium": 2, "hard": 3},
        "code": {"easy": 4, "medium": 5, "hard": 6},
    }
    text = invoke("show", tmp_path).stdout
    assert "targets     math (easy 1, medium 2, hard 3), code (easy 4, medium 5, hard 6)\n" in text


def read_table(path: Path) -> tuple[list[str], list[list[Any]]]:
    if path.suffix == ".parquet":
        table = parquet.read_table(path)
        return table.column_names, [list(row.values()) for row in table.to_pylist()]
    if path.suffix == ".jsonl":
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        return list(rows[0]), [list(row.values()) for row in rows]
    names, *lines = csv.reader(path.read_text().splitlines())
    readers = [int if isinstance(value, int) else str if isinstance(value, str) else float for value in ROWS[0]]
    return names, [[read(text) if text else None for read, text in zip(readers, line, strict=True)] for line in lines]


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
@pytest.mark.parametrize("rows_at_a_time", [2, 2**16])
def test_the_table_of_prompts(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, rows_at_a_time: int
) -> None:
    monkeypatch.setattr(prompt_table, "_ROWS_AT_A_TIME", rows_at_a_time)
    table = tmp_path / f"prompts{suffix}"
    result = invoke("export", run, "--to", table)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"laser_verl: 5 prompts in {table}\n"
    assert read_table(table) == (COLUMNS, ROWS)
    assert sorted(path.name for path in tmp_path.iterdir()) == [table.name, "run"]


def test_the_table_of_no_prompts_has_its_columns(tmp_path: Path) -> None:
    save_state(tmp_path / "laser_state", {"tracker": DifficultyTracker().state_dict()})
    assert invoke("export", tmp_path, "--to", tmp_path / "t.parquet").exit_code == 0
    assert parquet.read_table(tmp_path / "t.parquet").column_names == COLUMNS


def test_the_commands_change_nothing_of_the_state(run: Path, tmp_path: Path) -> None:
    def facts() -> dict[str, tuple[bytes, int]]:
        files = [path for path in run.rglob("*") if path.is_file()]
        return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}

    before = facts()
    for arguments in (["show", run], ["show", run, "--json"], ["export", run, "--to", tmp_path / "t.csv"]):
        assert invoke(*arguments).exit_code == 0
    assert facts() == before


def test_a_table_takes_no_other_files_place(run: Path, tmp_path: Path) -> None:
    mine = tmp_path / "t.csv"
    mine.write_text("mine")
    assert refused(2, "export", run, "--to", mine) == f"--to {mine} exists and is not overwritten; name another file"
    assert mine.read_text() == "mine"
    (tmp_path / "dangling.csv").symlink_to(tmp_path / "nowhere")
    assert "exists" in refused(2, "export", run, "--to", tmp_path / "dangling.csv")


@pytest.mark.parametrize("name", ["t.xlsx", "t", "t.PARQUET"])
def test_a_table_of_another_kind_is_wrong_usage(run: Path, tmp_path: Path, name: str) -> None:
    told = refused(2, "export", run, "--to", tmp_path / name)
    assert told == f"--to {tmp_path / name} must end in one of .parquet, .csv, .jsonl, e.g. prompts.parquet"


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_a_table_that_cannot_be_written_leaves_nothing(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    absent = tmp_path / "absent" / f"t{suffix}"
    assert refused(1, "export", run, "--to", absent) == f"--to {absent} cannot be written: No such file or directory"

    def fail(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(state_file.os, "fsync", fail)
    table = tmp_path / f"t{suffix}"
    assert refused(1, "export", run, "--to", table) == f"--to {table} cannot be written: No space left on device"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


TOO_LARGE = """
import resource, sys
from laser_verl.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
sys.argv[1:] = ["state", "export", *sys.argv[1:]]
main()
"""


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_a_write_that_fails_half_way_is_one_line(run: Path, tmp_path: Path, suffix: str) -> None:
    table = tmp_path / f"t{suffix}"
    arguments = [sys.executable, "-c", TOO_LARGE, str(run), "--to", str(table)]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (1, f"laser_verl: --to {table} cannot be written: File too large\n")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_state_without_prompts_has_no_table(run: Path, tmp_path: Path) -> None:
    path = run / "global_step_9" / "laser_state"
    assert refused(1, "export", path, "--to", tmp_path / "t.csv") == (
        f"{path} holds no table of prompts: the run kept none; `laser-verl state show` tells what it holds"
    )
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]


def damage(path: Path) -> dict[str, bytes]:
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[200] ^= 1
    return {
        "is cut off after 100 of": whole[:100],
        "is damaged: its bytes do not have the checksum": bytes(flipped),
        "is empty": b"",
        "is no laser_state but a text file": b"no state\n",
    }


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("action", ["show", "export"])
def test_a_damaged_file_is_one_line(run: Path, tmp_path: Path, number: int, action: str) -> None:
    path = run / "global_step_3" / "laser_state"
    told, content = list(damage(path).items())[number]
    path.write_bytes(content)
    more = ["--to", tmp_path / "t.csv"] if action == "export" else []
    assert refused(1, action, path, *more).startswith(f"{path} {told}")
    assert not (tmp_path / "t.csv").exists()


def test_a_damaged_table_of_prompts_is_one_line(tmp_path: Path) -> None:
    state = tracker_state()
    state["drawn"] = state["drawn"][:-1]
    save_state(tmp_path / "laser_state", {"tracker": state})
    told = refused(1, "show", tmp_path)
    assert told.startswith(f"{tmp_path}/laser_state: the saved tracker is damaged, in drawn")


def test_a_place_without_a_state_says_what_to_give(run: Path) -> None:
    nowhere = refused(2, "show", run / "nowhere")
    assert nowhere.startswith(f"{run}/nowhere does not exist; give a file laser_state, a global_step_N folder, or")
    (run / "global_step_3" / "actor").mkdir()
    told = refused(2, "show", run / "global_step_3" / "actor")
    assert "actor holds neither laser_state nor latest_checkpointed_iteration.txt; give a global_step_N" in told


@pytest.mark.parametrize(
    ("latest", "told"),
    [
        ("4", "names step 4, but {run}/global_step_4/laser_state is not there; give another global_step_N folder"),
        ("", "must hold the number of a step, not ''; give a global_step_N folder"),
        ("../x", "must hold the number of a step, not '../x'; give a global_step_N folder"),
    ],
)
def test_a_run_whose_latest_checkpoint_has_no_state(run: Path, latest: str, told: str) -> None:
    path = run / "latest_checkpointed_iteration.txt"
    path.write_text(latest)
    assert refused(1, "show", run) == f"{path} {told.format(run=run)}"


def test_a_folder_that_may_not_be_looked_into_is_one_line(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Path) -> bool:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "is_dir", fail)
    assert refused(1, "show", run) == f"{run} cannot be read: Permission denied; let this user read it"


@pytest.mark.parametrize("action", ["show", "export"])
def test_help_has_an_example_on_one_line(action: str) -> None:
    result = invoke(action, "--help")
    assert result.exit_code == 0
    [example] = result.stdout.split("Example:\n")[1].strip().splitlines()
    assert example.startswith(f"laser-verl state {action} ")


def test_wrong_arguments_are_wrong_usage(run: Path) -> None:
    for arguments in (["nothing"], ["show"], ["export", run], ["show", run, "--yaml"]):
        result = invoke(*arguments)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr


def test_the_commands_import_neither_verl_nor_torch_and_showing_needs_no_pyarrow(run: Path, tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from laser_verl.cli import app\n"
        "def loaded():\n"
        "    return sorted({'verl', 'torch', 'ray', 'sympy', 'pyarrow'} & sys.modules.keys())\n"
        "assert CliRunner().invoke(app, ['state', 'show', sys.argv[1]]).exit_code == 0\n"
        "print(loaded())\n"
        "assert CliRunner().invoke(app, ['state', 'export', *sys.argv[1:]]).exit_code == 0\n"
        "print(loaded())\n"
    )
    command = [sys.executable, "-c", script, str(run), "--to", str(tmp_path / "t.csv")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n['pyarrow']\n"


def test_output_that_cannot_be_written_is_one_line(run: Path) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "laser_verl", "state", "show", str(run)]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    told = "laser_verl: standard output cannot be written: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, told)

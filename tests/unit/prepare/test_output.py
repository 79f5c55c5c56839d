"""The folder is there whole or not at all, holds the same bytes for the same input, and says what it is."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from laser_verl import __version__
from laser_verl.commands import BadInput
from laser_verl.data.prepare import output
from laser_verl.data.prepare import run as run_module
from laser_verl.data.prepare.output import Folder
from laser_verl.data.prepare.plan import Request, make_plan
from laser_verl.data.prepare.rows import digest, hash64
from laser_verl.data.prepare.run import prepare as run
from laser_verl.data.prepare.templates import TEMPLATES
from tests.unit.prepare.data_sets import FOLDER, NAMES, data_file, prepare, prepare_set, refusal, rows_of, write_lines

DEEPSCALER = FOLDER / "deepscaler.json"


def many(path: Path, number: int) -> Path:
    rows = [{"problem": f"What is {row} plus one?", "answer": row + 1} for row in range(number)]
    return write_lines(path, rows)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("name", NAMES)
def test_the_same_input_gives_the_same_bytes_wherever_it_lies(name: str, tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    prepare_set(name, tmp_path / "a", "--seed", 7)
    prepare_set(name, tmp_path / "a" / "b", "--seed", 7)
    assert contents(tmp_path / "a" / "out") == contents(tmp_path / "a" / "b" / "out")


def test_the_same_bytes_come_whatever_the_seed_of_python(tmp_path: Path) -> None:
    for seed in ("0", "1"):
        command = [sys.executable, "-m", "laser_verl", "prepare", "deepscaler", str(DEEPSCALER), "--golds", "off"]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run(
            [*command, "--to", str(tmp_path / seed)], env=environment, check=True, capture_output=True, timeout=60
        )
    assert contents(tmp_path / "0") == contents(tmp_path / "1")


def test_the_card_says_what_is_in_the_folder(tmp_path: Path) -> None:
    card = prepare_set("dapo_math", tmp_path, "--license", "own", "--budget", "7", "--seed", "3")
    assert card == json.loads((tmp_path / "out" / "card.json").read_text(encoding="utf-8"))
    assert (card["source"], card["license"], card["laser_verl"]) == ("dapo_math", "own", __version__)
    source = (tmp_path / "dapo_math.parquet").read_bytes()
    digest = hashlib.sha256(source).hexdigest()
    assert card["inputs"] == [{"file": "dapo_math.parquet", "bytes": len(source), "sha256": digest}]
    rows = card["rows"]
    assert rows["read"] == 20 == rows["train"] + rows["monitor"] + rows["validation"] + card["left_out"]["duplicate"]
    assert card["options"] == {
        "budget": "7",
        "monitor": 500,
        "validation": 500,
        "seed": 3,
        "against": [],
        "is_decontaminating": True,
        "golds": "list",
        "license": "own",
    }
    for name, file in card["files"].items():
        data = (tmp_path / "out" / name).read_bytes()
        assert (file["bytes"], file["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
        if name.endswith(".parquet"):
            assert file["rows"] == pq.read_metadata(tmp_path / "out" / name).num_rows
    readme = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "| duplicate | 4 | left out | the problem was read before" in readme
    assert "License of the data, as stated by its source: own" in readme
    assert str(tmp_path) not in readme + json.dumps(card)
    assert sorted(os.listdir(tmp_path / "out")) == sorted([*card["files"], "card.json", "README.md"])


def test_splits_are_those_that_were_asked_for_and_in_the_order_of_the_input(tmp_path: Path) -> None:
    path = many(tmp_path / "a.jsonl", 5000)
    card = prepare("deepscaler", path, "--to", tmp_path / "out", "--monitor", 30, "--validation", 20, "--golds", "off")
    assert card["rows"] == {"read": 5000, "train": 4950, "monitor": 30, "validation": 20}
    for split, number in (("monitor", 30), ("validation", 20)):
        rows = pq.read_table(tmp_path / "out" / f"{split}.parquet").to_pylist()
        assert [row["extra_info"]["split"] for row in rows] == [split] * number
        indices = [row["extra_info"]["index"] for row in rows]
        assert indices == sorted(indices)
    every = [row["extra_info"]["index"] for row in rows_of(tmp_path / "out")]
    assert every == list(range(5000))
    assert "data.train_files=FOLDER/train.parquet" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    card = prepare("deepscaler", path, "--to", tmp_path / "train", "--monitor", 0, "--validation", 0, "--golds", "off")
    assert sorted(os.listdir(tmp_path / "train")) == ["README.md", "card.json", "train.parquet"]


def test_a_folder_without_a_problem_to_train_on_names_no_file_of_them(tmp_path: Path) -> None:
    problem = next(f"{n}?" for n in range(100) if hash64(1, digest(f"{n}?")) < (1 << 64) // 10)
    path = write_lines(tmp_path / "a.jsonl", [{"problem": problem, "answer": "1"}])
    assert prepare("deepscaler", path, "--to", tmp_path / "out")["rows"]["train"] == 0
    readme = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "data.val_files=FOLDER/validation.parquet" in readme
    assert "train.parquet" not in readme


@pytest.mark.parametrize(
    ("name", "messages"),
    [
        ("paper", [("user", "1+{x}?\nPlease reason step by step, and put your final answer within \\boxed{}.")]),
        ("deepscaler", [("user", "1+{x}? Let's think step by step and output the final answer within \\boxed{}.")]),
        (
            "qwen",
            [
                ("system", "Please reason step by step, and put your final answer within \\boxed{}."),
                ("user", "1+{x}?"),
            ],
        ),
        ("plain", [("user", "1+{x}?")]),
    ],
)
def test_a_template_is_said_around_the_problem(name: str, messages: list[tuple[str, str]], tmp_path: Path) -> None:
    assert set(TEMPLATES) == {"paper", "deepscaler", "qwen", "plain"}
    path = write_lines(tmp_path / "a.jsonl", [{"problem": " 1+{x}? ", "answer": "2"}])
    prepare("deepscaler", path, "--to", tmp_path / "out", "--template", name)
    (row,) = rows_of(tmp_path / "out")
    assert [(message["role"], message["content"]) for message in row["prompt"]] == messages


def test_a_folder_that_exists_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    prepare("deepscaler", DEEPSCALER, "--to", tmp_path / "out")  # an empty one is as good as none
    before = contents(tmp_path / "out")
    code, said = refusal("deepscaler", DEEPSCALER, "--to", tmp_path / "out")
    assert (code, contents(tmp_path / "out")) == (1, before)
    assert f"--to {tmp_path / 'out'} exists already; give a new folder, or remove this one" in said
    (tmp_path / "file").write_text("")
    for taken in (tmp_path / "file", "/"):
        assert "exists already" in refusal("deepscaler", DEEPSCALER, "--to", taken)[1]


def test_a_folder_that_appears_meanwhile_is_left_alone(tmp_path: Path) -> None:
    def write_beside() -> None:
        with Folder(tmp_path / "out") as scratch:
            (scratch / "a").write_text("ours")
            (tmp_path / "out").mkdir()
            (tmp_path / "out" / "b").write_text("theirs")

    with pytest.raises(BadInput, match="exists already"):
        write_beside()
    assert os.listdir(tmp_path) == ["out"]
    assert os.listdir(tmp_path / "out") == ["b"]


def test_a_folder_below_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, said = refusal("deepscaler", DEEPSCALER, "--to", tmp_path / "file" / "out")
    assert code == 1
    assert f"--to {tmp_path / 'file' / 'out'} cannot be written: Not a directory" in said


def test_what_others_may_do_with_the_folder_is_up_to_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        prepare("deepscaler", DEEPSCALER, "--to", tmp_path / "out")
    finally:
        os.umask(before)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o750


def test_an_error_on_the_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(output.Tables, "close", fail)
    with pytest.raises(KeyboardInterrupt):
        run(make_plan(Request("deepscaler", [str(DEEPSCALER)], tmp_path / "out")))
    assert os.listdir(tmp_path) == []


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    path = many(tmp_path / "a.jsonl", 20_000)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    done = subprocess.run(
        [sys.executable, "-m", "laser_verl", "prepare", "deepscaler", path, "--to", tmp_path / "out", "--golds", "off"],
        preexec_fn=limit,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    said = f"--to {tmp_path / 'out'} cannot be written: File too large; give another folder"
    assert said in done.stderr
    assert os.listdir(tmp_path) == ["a.jsonl"]


def test_a_run_that_is_killed_leaves_nothing_under_the_name(tmp_path: Path) -> None:
    path = many(tmp_path / "a.jsonl", 200_000)
    process = subprocess.Popen(
        [sys.executable, "-m", "laser_verl", "prepare", "deepscaler", path, "--to", tmp_path / "out", "--golds", "off"],
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".out.part-*/train.parquet")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (left,) = tmp_path.glob(".out.part-*")
    assert not (tmp_path / "out").exists()
    shutil.rmtree(left)
    many(path, 100)
    prepare("deepscaler", path, "--to", tmp_path / "out", "--golds", "off")
    assert len(rows_of(tmp_path / "out")) == 100


def test_rows_do_not_pile_up_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (output, run_module):
        monkeypatch.setattr(module, "_ROWS_AT_A_TIME", 256)
    peaks = []
    for number in (1000, 1000, 5000):  # the first run imports what it needs
        path = tmp_path / f"{number}.jsonl"
        write_lines(path, [{"problem": f"{row} " + "x" * 4000, "answer": "1"} for row in range(number)])
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        request = Request("deepscaler", [str(path)], tmp_path / "out", golds="off", monitor=50, validation=50)
        tracemalloc.start()
        run(make_plan(request))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # 4,000 rows of 4,000 characters are 16 MB; of each the memory of duplicates keeps some 200 bytes
    assert peaks[2] - peaks[1] < 2_000_000


@pytest.mark.parametrize("name", NAMES)
def test_prepared_files_have_one_schema_whatever_the_split(name: str, tmp_path: Path) -> None:
    prepare_set(name, tmp_path, "--seed", "5")
    schemas = [pq.read_schema(path) for path in sorted((tmp_path / "out").glob("*.parquet"))]
    assert len(schemas) >= 2
    assert all(schema.equals(schemas[0]) for schema in schemas)
    assert data_file(name, tmp_path).exists()

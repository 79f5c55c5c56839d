"""Wrong usage of `laser-verl prepare` is refused before anything is read, and a hub without network has a remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from laser_verl.data.prepare.plan import SOURCES
from tests.unit.prepare.data_sets import FOLDER, call, data_file, prepare, refusal

DEEPSCALER = FOLDER / "deepscaler.json"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["deepscalr", DEEPSCALER],
            "unknown source 'deepscalr'; did you mean 'deepscaler'? known: deepscaler",
        ),
        (["deepscaler", DEEPSCALER, "--template", "papr"], "unknown template 'papr'; did you mean 'paper'?"),
        (["deepscaler", DEEPSCALER, "--golds", "drops"], "--golds: unknown choice 'drops'; did you mean 'drop'?"),
        (
            ["deepscaler"],
            "deepscaler needs INPUT: files or a folder, or a name on the hub such as agentica",
        ),
        (["table", "--columns", "problem=a,gold=b"], "table needs INPUT: files or a folder, or a name on the hub\n"),
        (["reasoning_gym"], "reasoning_gym needs INPUT: the name of a task, e.g. chain_sum"),
        (["tiny_world", "x.json"], "tiny_world is made here and reads no INPUT; leave out x.json"),
        (["table", DEEPSCALER], "table needs --columns, which says what column has what; e.g. --columns problem="),
        (["table", DEEPSCALER, "--columns", "problem"], "--columns 'problem' is no FIELD=COLUMN"),
        (["table", DEEPSCALER, "--columns", "problm=a,gold=b"], "unknown field 'problm'; did you mean 'problem'?"),
        (["table", DEEPSCALER, "--columns", "problem=a"], "must name problem, and one of gold and golds"),
        (
            ["table", DEEPSCALER, "--columns", "problem=a,gold=b,golds=c"],
            "must name problem, and one of gold and golds",
        ),
        (
            ["deepscaler", DEEPSCALER, "--columns", "problem=a,gold=b"],
            "--columns has an effect only with the source",
        ),
        (
            ["deepscaler", DEEPSCALER, "--rows", "3"],
            "--rows has an effect only with the sources reasoning_gym",
        ),
        (
            ["deepscaler", DEEPSCALER, "--parameters", "{}"],
            "--parameters has an effect only with the source",
        ),
        (["tiny_world", "--difficulty", "a"], "--difficulty has an effect only with data that are read from files"),
        (["deepscaler", DEEPSCALER, "--max-prompt-tokens", "9"], "--max-prompt-tokens has an effect only with --model"),
        (
            ["deepscaler", DEEPSCALER, "--against", DEEPSCALER, "--no-decontaminate"],
            "--against has an effect only with decontamination",
        ),
        (["deepscaler", DEEPSCALER, "--monitor", "-1"], "--monitor -1 must be from 0 to"),
        (["deepscaler", DEEPSCALER, "--budget", "0"], "--budget 0 must be tokens, or two numbers to draw from"),
        (["deepscaler", DEEPSCALER, "--budget", "9-7"], "--budget 9-7 must be tokens"),
        (["tiny_world", "--rows", "100"], "--rows 100 must be a multiple of 3"),
        (["tiny_world", "--rows", "30000"], "--rows 30000: num_per_difficulty=10000 is out of range: 4920 easy"),
        (
            ["table", DEEPSCALER, "--columns", "problem=a,gold=b,budget=c", "--budget", "7"],
            "--budget gives every row a budget, and --columns names a column of them",
        ),
        (
            ["table", DEEPSCALER, "--columns", "problem=a,gold=b,data_source=c", "--data-source", "d"],
            "--data-source names one source for all rows, and --columns a column of them",
        ),
        (
            ["table", DEEPSCALER, "--columns", "problem=a,gold=b,difficulty=c", "--difficulty", "d"],
            "--difficulty and --columns both name a column of difficulties",
        ),
        (["reasoning_gym", "chain_sum", "--parameters", "{"], "--parameters { is no JSON"),
        (["reasoning_gym", "chain_sum", "--parameters", "[]"], "--parameters [] must be an object"),
    ],
)
def test_wrong_usage_says_what_is_right(arguments: list[Any], words: str, tmp_path: Path) -> None:
    code, said = refusal(*arguments, "--to", tmp_path / "out")
    assert code == 2
    assert words in said
    assert list(tmp_path.iterdir()) == []


def test_the_help_names_every_source_and_has_an_example() -> None:
    said = " ".join(call("--help").stdout.split())
    assert all(source in said for source in SOURCES)
    assert "laser-verl prepare deepscaler deepscaler.json --to data/" in said


def test_a_folder_is_needed() -> None:
    assert call("deepscaler", DEEPSCALER).exit_code == 2


def test_standard_error_sums_up(tmp_path: Path) -> None:
    result = call("dapo_math", data_file("dapo_math", tmp_path), "--to", tmp_path / "out", "--seed", "1")
    first, second = result.stderr.splitlines()
    assert first.startswith("laser_verl: 20 rows read; 15 to train on, 1 to monitor, 0 to validate on, in ")
    assert second == "laser_verl: left out 4: the problem was read before, but for spaces and capitals"


@pytest.mark.parametrize(
    "name", ["no.json", "folder/no.parquet", "a/b/c", ".", "tests/no_such", "~no_such/a.json", "a" * 300]
)
def test_a_file_that_is_not_there_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tests").mkdir()
    code, said = refusal("deepscaler", name, "--to", tmp_path / "out")
    assert code == 1
    if name == ".":
        assert ". holds no file that ends in .parquet, .jsonl, .json, .csv" in said
    else:
        assert f"{name} is no file or folder; give one, or a name on the hub such as agentica-org" in said


def test_without_network_a_name_on_the_hub_has_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    code, said = refusal("gsm8k", "openai/gsm8k", "--to", tmp_path / "out")
    assert code == 1
    assert "openai/gsm8k is no file or folder, and cannot be fetched from the hub (" in said
    assert "where there is network: hf download --repo-type dataset openai/gsm8k --local-dir FOLDER; then" in said


def test_a_name_on_the_hub_is_fetched_and_read_as_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    asked: list[Any] = []

    def fetch(name: str, **options: Any) -> str:
        asked.append((name, options))
        (tmp_path / "hub" / "main").mkdir(parents=True)
        data_file("gsm8k", tmp_path).rename(tmp_path / "hub" / "main" / "train-00000-of-00001.parquet")
        return str(tmp_path / "hub")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    card = prepare("gsm8k", "openai/gsm8k", "--to", tmp_path / "out")
    assert asked == [("openai/gsm8k", {"repo_type": "dataset", "allow_patterns": ["*main/train-*.parquet"]})]
    assert [one["file"] for one in card["inputs"]] == ["main/train-00000-of-00001.parquet"]


def test_the_tiny_world_is_made_with_its_own_difficulties(tmp_path: Path) -> None:
    card = prepare("tiny_world", "--rows", 90, "--to", tmp_path / "out")
    assert card["data_sources"] == {f"tiny_world/{name}": 30 for name in ("easy", "hard", "medium")}
    assert card["template"]["name"] == "plain"
    assert card["kept_with_finding"] == {}

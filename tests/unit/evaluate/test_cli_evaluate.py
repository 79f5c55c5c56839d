"""The command line of `laser-verl evaluate`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from laser_verl.cli import app
from tests.unit.evaluate.engines import in_place_of_vllm, problems
from tests.unit.evaluate.recorded import SETTINGS, lines_of, sample, write

MODEL = "laser_verl/data/tiny_base"


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


def test_help_has_an_example_and_the_papers_defaults() -> None:
    found = call("--help")
    assert found.exit_code == 0
    text = " ".join(found.stdout.split())
    assert "laser-verl evaluate MODEL --on aime24 --out results/" in text
    for default in ("0.6", "0.95", "32768", "bfloat16"):
        assert f"[default: {default}]" in text
    assert "With float32 responses hardly depend on what is generated beside them" in text


def test_recorded_samples_as_tables_and_as_json(tmp_path: Path) -> None:
    path = write(tmp_path / "samples.jsonl", [sample(0, 0), sample(1, 0, "8")])
    found = call("--from", path)
    assert found.exit_code == 0
    assert "50.0 [0.0, 100.0]" in found.stdout
    as_json = call("--from", path, "--json", "--out", tmp_path / "out")
    assert json.loads(as_json.stdout) == json.loads((tmp_path / "out" / "summary.json").read_text())
    assert "wrote summary.json" in as_json.stderr


def test_several_recorded_results_stand_side_by_side(tmp_path: Path) -> None:
    one = write(tmp_path / "before" / "samples.jsonl", [sample(0, 0)])
    other = tmp_path / "after" / "samples.jsonl"
    other.parent.mkdir()
    other.write_text("".join(lines_of([sample(0, 0)])).replace('"fingerprint": "00"', '"fingerprint": "11"'))
    found = call("--from", one, other, "--out", tmp_path / "out")
    assert found.exit_code == 0
    assert "m (before)" in found.stdout
    assert "m (after)" in found.stdout
    assert (tmp_path / "out" / "evaluation.png").read_bytes().startswith(b"\x89PNG")


def test_a_cut_last_line_is_dropped_with_a_note(tmp_path: Path) -> None:
    path = write(tmp_path / "samples.jsonl", [sample(0, 0), sample(1, 0)])
    path.write_bytes(path.read_bytes()[:-5])
    found = call("--from", path, "--json")
    assert found.exit_code == 0
    assert "line 3 was cut off, as by a kill; it is dropped" in found.stderr
    assert json.loads(found.stdout)["results"][0]["benchmarks"]["quiz"]["responses"] == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "MODEL is missing"),
        (["m"], "--out is missing"),
        (["m", "n"], "one MODEL at a time"),
        (["none", "--on", "aime24", "--out", "OUT"], "MODEL none is no folder"),
        (["m", "--out", "OUT"], "--on is missing"),
        (["m", "--on", "amie24", "--out", "OUT"], "did you mean 'aime24'?"),
        (["m", "--on", "aime24", "--out", "OUT", "--budgets", "1,x"], "--budgets '1,x' must be whole numbers"),
        (["--from", "none.jsonl"], "none.jsonl cannot be read"),
        (["--from", "none.jsonl", "--on", "aime24"], "and --on is of new ones; leave out one"),
        (["--from", "none.jsonl", "--max-tokens", "9"], "and --max-tokens is of new ones"),
        ([MODEL, "--on", "aime24", "--out", "OUT"], "--max-tokens 32768: the longest prompt has"),
    ],
)
def test_wrong_usage(tmp_path: Path, arguments: list[str], words: str) -> None:
    found = call(*[str(tmp_path / "out") if word == "OUT" else word for word in arguments])
    assert found.exit_code == 2
    assert words in found.stderr
    assert found.stdout == ""


def test_the_cue_may_have_line_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_place_of_vllm(monkeypatch)
    arguments = ["--on", problems(tmp_path), "--out", tmp_path / "out", "--samples", 1, "--max-tokens", 14]
    assert call(MODEL, *arguments, "--cue", r"\n\n\boxed{").exit_code == 0
    header = json.loads((tmp_path / "out" / "samples.jsonl").read_text().splitlines()[0])
    assert header["settings"]["cue"] == "\n\n\\boxed{"
    assert header["settings"].keys() == SETTINGS.as_record().keys()

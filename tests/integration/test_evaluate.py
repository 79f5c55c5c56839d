"""`laser-verl evaluate` with real vLLM: killed and gone on with, spread by Ray, and of a trained checkpoint."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from laser_verl.commands import BadInput
from laser_verl.data import tiny_world
from laser_verl.evaluate.model import find_model
from laser_verl.quickstart.processes import ProcessTree
from tests.integration.runs import ENVIRONMENT, LASER_D, Run, World, finish

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]

REPORT = ("summary.json", "verdicts.jsonl", "table.md", "evaluation.png")
SAMPLES = 4


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = tiny_world.to_rows(tiny_world.make_problems(4, seed=11), "test")
    return tiny_world.write_parquet(rows, tmp_path_factory.mktemp("problems") / "tiny.parquet")


def start(problems: Path, out: Path, *options: str, model: Path | None = None) -> ProcessTree:
    out.mkdir(parents=True, exist_ok=True)
    words = ["evaluate", str(model or tiny_world.base_path()), "--on", str(problems), "--out", str(out)]
    words += ["--samples", str(SAMPLES), "--max-tokens", "160", "--dtype", "float32", *options]
    words += ["--cue", "\\boxed{", "--answer-tokens", "8"]
    return ProcessTree([sys.executable, "-m", "laser_verl", *words], ENVIRONMENT, out / "log.txt", out)


def wait(tree: ProcessTree, out: Path, is_reached: Callable[[], bool], limit: int = 600) -> None:
    deadline = time.monotonic() + limit
    while not is_reached():
        assert time.monotonic() < deadline, (out / "log.txt").read_text()
        tree.look()
        time.sleep(0.2)


def evaluate(problems: Path, out: Path, *options: str, model: Path | None = None) -> dict[Any, Any]:
    """Run to the end; the samples by what they are of."""
    tree = start(problems, out, *options, model=model)
    try:
        wait(tree, out, lambda: tree.poll() is not None)
        assert tree.poll() == 0, (out / "log.txt").read_text()
    finally:
        tree.end()
    return samples_of(out)


def samples_of(out: Path) -> dict[Any, Any]:
    lines = map(json.loads, (out / "samples.jsonl").read_text().splitlines()[1:])
    return {(line["key"], line["sample"], line["budget"]): line for line in lines}


@pytest.fixture(scope="module")
def unbroken(problems: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("unbroken")
    evaluate(problems, out, "--budgets", "0,20")
    return out


def test_killed_and_gone_on_with_it_is_the_unbroken_evaluation(problems: Path, unbroken: Path, tmp_path: Path) -> None:
    # fewer at once than in the unbroken one, so that no batch is the same
    options = ["--budgets", "0,20", "--max-num-seqs", "5"]
    killed = start(problems, tmp_path, *options)
    path = tmp_path / "samples.jsonl"
    try:
        wait(killed, tmp_path, lambda: path.exists() and path.read_bytes().count(b"\n") > 10)
        os.kill(killed.pid, signal.SIGKILL)
        wait(killed, tmp_path, lambda: killed.poll() is not None)
        wait(killed, tmp_path, lambda: not killed.alive(), limit=30)
    finally:
        killed.end()
    before = path.read_bytes()
    assert 10 < before.count(b"\n") <= 12 * SAMPLES
    evaluate(problems, tmp_path, *options)
    assert path.read_bytes().startswith(before[: before.rindex(b"\n")])
    assert samples_of(tmp_path) == samples_of(unbroken)
    for name in REPORT:
        assert (tmp_path / name).read_bytes() == (unbroken / name).read_bytes(), name


def test_lengths_are_those_of_the_engine_and_responses_differ(unbroken: Path) -> None:
    samples = samples_of(unbroken)
    plain = [one for (_, _, budget), one in samples.items() if budget is None]
    assert len(plain) == 12 * SAMPLES
    assert len({one["response"] for one in plain}) > len(plain) / 2
    for one in plain:
        assert 0 < one["thinking_tokens"] < one["tokens"] <= 160
        assert one["response"].startswith("<think>")
    for (key, number, budget), one in samples.items():
        if budget is not None and one["response"] is not None:
            assert one["response"].startswith(samples[key, number, None]["response"][: 7 + budget // 2])
            assert one["thinking_tokens"] == budget + 2
            assert "</think>\\boxed{" in one["response"]


@pytest.mark.slow
def test_spread_over_two_workers_by_ray_it_is_the_same(problems: Path, unbroken: Path, tmp_path: Path) -> None:
    samples = evaluate(problems, tmp_path, "--budgets", "0,20", "--workers", "2")
    assert samples == samples_of(unbroken)


@pytest.mark.slow
def test_a_checkpoint_of_verl(
    world: World, problems: Path, runs_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = finish(Run(runs_folder / "evaluated"), [*world.arguments(), *LASER_D, "trainer.save_freq=2"])
    monkeypatch.setitem(ENVIRONMENT, "XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    step = run.checkpoints / "global_step_2"
    evaluate(problems, tmp_path / "out", model=step)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["results"][0]["name"] == "global_step_2"
    assert find_model(str(step)).folder.is_relative_to(tmp_path / "cache")
    weights = step / "actor" / "model_world_size_1_rank_0.pt"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(BadInput, match="cannot be read as a checkpoint of verl's fsdp backend"):
        find_model(str(step))

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from laser_verl.commands import BadInput, WrongUsage
from laser_verl.quickstart.plan import Plan, Stage, alone_in, make_plan, record, saved_step, stage_of


def plan_in(folder, **changes):
    return Plan(folder, **{"steps": 40, **changes})


def save_checkpoint(plan, step):
    plan.checkpoints.mkdir(parents=True, exist_ok=True)
    (plan.checkpoints / "latest_checkpointed_iteration.txt").write_text(str(step))


def evaluate(plan, *steps):
    plan.answers(0).parent.mkdir(parents=True, exist_ok=True)
    for step in steps:
        plan.answers(step).write_text("{}\n")


def test_a_new_or_empty_folder_is_a_fresh_start(tmp_path):
    assert stage_of(plan_in(tmp_path / "new")) is Stage.FRESH
    assert stage_of(plan_in(tmp_path)) is Stage.FRESH


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(WrongUsage, match="name a new or empty folder"):
        stage_of(plan_in(tmp_path))


@pytest.mark.parametrize(
    ("evaluated", "saved", "stage"),
    [
        ((), 0, Stage.RESUME),
        ((0,), 20, Stage.RESUME),
        ((0,), 40, Stage.EVALUATE),
        ((0, 40), 40, Stage.FINISHED),
    ],
    ids=["before its first checkpoint", "between checkpoints", "in its last evaluation", "finished"],
)
def test_a_run_that_was_stopped_does_what_is_left(tmp_path, evaluated, saved, stage):
    plan = plan_in(tmp_path)
    record(plan)
    evaluate(plan, *evaluated)
    if saved:
        save_checkpoint(plan, saved)
    assert stage_of(plan) is stage
    assert saved_step(plan) == saved


@pytest.mark.parametrize("step", [0, 40])
def test_a_run_goes_on_from_an_evaluation_only_if_it_is_whole(tmp_path, step):
    plan = plan_in(tmp_path)
    record(plan)
    evaluate(plan, 0, 40)
    save_checkpoint(plan, 40)
    plan.answers(step).write_text('{}\n{"input": "Ab')
    if step == 40:
        assert stage_of(plan) is Stage.EVALUATE
    else:
        with pytest.raises(BadInput, match=r"0\.jsonl is missing or cut off.*delete .* and start again"):
            stage_of(plan)


def test_an_empty_checkpoint_note_is_an_error_that_says_what_to_write(tmp_path):
    plan = plan_in(tmp_path)
    record(plan)
    save_checkpoint(plan, "")
    with pytest.raises(BadInput, match="number of the newest folder global_step_N"):
        stage_of(plan)


def test_two_runs_in_one_folder_are_refused(tmp_path):
    folder = tmp_path / "out"
    with alone_in(folder), pytest.raises(WrongUsage, match="in use by another quickstart"), alone_in(folder):
        pytest.fail("let in")
    with alone_in(folder):
        pass


def test_the_training_of_a_killed_quickstart_keeps_others_out(tmp_path):
    with alone_in(tmp_path) as lock:
        words = [sys.executable, "-c", "import time; time.sleep(600)"]
        left = subprocess.Popen(words, pass_fds=(lock,), cwd=tmp_path)
    try:
        with pytest.raises(WrongUsage, match=rf"processes {left.pid}\)"), alone_in(tmp_path):
            pytest.fail("let in")
    finally:
        left.kill()
        left.wait()
    with alone_in(tmp_path):
        pass


@pytest.mark.parametrize("change", [{"seed": 2}, {"method": "laser"}, {"steps": 41}, {"nodes": 2}])
def test_another_run_in_the_same_folder_is_refused(tmp_path, change):
    record(plan_in(tmp_path))
    with pytest.raises(WrongUsage, match=rf"{next(iter(change))} .*\(now .*name another folder"):
        stage_of(plan_in(tmp_path, **change))


def test_the_settings_are_on_disk(tmp_path):
    record(plan_in(tmp_path, seed=3))
    assert json.loads((tmp_path / "quickstart.json").read_text())["seed"] == 3


def test_the_command_to_go_on_has_the_options_that_are_not_default(tmp_path):
    folder = tmp_path / "my run"
    program, *words = shlex.split(plan_in(folder, seed=3).command())
    # laser-verl is often not on the PATH
    assert Path(program) == Path(sys.executable).with_name("laser-verl")
    assert words == ["quickstart", "--out", str(folder), "--steps", "40", "--seed", "3"]


def make(tmp_path, **changes):
    options = {"method": "laser_d", "steps": None, "seed": 1, "nodes": 1, "model": None, "data": None}
    return make_plan(tmp_path, **(options | changes))


def test_paths_are_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").touch()
    (tmp_path / "data.parquet").touch()
    here = type(tmp_path)
    plan = make(here("out"), model=here("model"), data=here("data.parquet"))
    assert (plan.out, plan.model, plan.data) == (tmp_path / "out", tmp_path / "model", tmp_path / "data.parquet")
    assert plan.steps == 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "laserd"}, "did you mean 'laser_d'"),
        ({"method": "l1_max"}, "--method l1_max needs the column budget"),
        ({"method": "mixed"}, "--method mixed needs the option per_data_source"),
        ({"steps": 0}, "--steps 0 must be from 1"),
        ({"seed": -1}, "--seed -1 must be from 0"),
        ({"nodes": 0}, "--nodes 0 must be from 1 to 2"),
        ({"nodes": 3}, "--nodes 3 must be from 1 to 2"),
    ],
)
def test_a_wrong_option_is_named_with_its_remedy(tmp_path, change, message):
    with pytest.raises(WrongUsage, match=message):
        make(tmp_path, **change)


def test_model_and_data_come_together(tmp_path):
    with pytest.raises(WrongUsage, match="--model and --data belong together"):
        make(tmp_path, model=tmp_path)
    with pytest.raises(WrongUsage, match=r"has no config\.json"):
        make(tmp_path, model=tmp_path, data=tmp_path / "data.parquet")
    (tmp_path / "config.json").touch()
    with pytest.raises(WrongUsage, match=r"data\.parquet is not a file"):
        make(tmp_path, model=tmp_path, data=tmp_path / "data.parquet")

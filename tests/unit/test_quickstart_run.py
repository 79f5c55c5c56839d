import io
import json
import signal
import sys

import pytest
from rich.console import Console

from laser_verl.commands import BadInput, WrongUsage
from laser_verl.quickstart import run as module
from laser_verl.quickstart import training, world
from laser_verl.quickstart.history import History
from laser_verl.quickstart.plan import Plan, Stage
from laser_verl.quickstart.training import Display, Stopped, Watch, as_duration, tail


class Screens:
    def __init__(self):
        self.output, self.messages = (Console(file=io.StringIO(), width=100) for _ in range(2))

    def run(self, plan):
        return module.run(plan, self.output, self.messages)

    def texts(self):
        return self.output.file.getvalue(), self.messages.file.getvalue()


@pytest.fixture
def screens(monkeypatch):
    monkeypatch.setattr(module, "_require_packages", lambda: None)
    return Screens()


def write_answers(plan, step, num_correct, tokens):
    """All 600 held-out problems, the first ones right, all of one length but for one token up or down."""
    path = plan.answers(step)
    path.parent.mkdir(exist_ok=True)
    rows = [
        {
            "input": row["prompt"][0]["content"],
            "acc": float(at < num_correct),
            "response_length": tokens + (-1) ** at,
        }
        for at, row in enumerate(world.read_rows(plan.held_out_file))
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_metrics(plan, number, steps):
    plan.metrics.mkdir(exist_ok=True)
    data = {"laser/accuracy": 0.5, "laser/response_length/mean": 30.0, "timing_s/step": 2.0}
    lines = [json.dumps({"step": step, "data": data}) + "\n" for step in steps]
    (plan.metrics / f"{number:03d}.jsonl").write_text("".join(lines))


def commit(plan, step):
    plan.checkpoints.mkdir(exist_ok=True)
    (plan.checkpoints / "latest_checkpointed_iteration.txt").write_text(str(step))


def trains_to(num_correct, tokens):
    def train(plan, stage, lock, console):
        write_metrics(plan, 0, range(1, plan.steps + 1))
        write_answers(plan, 0, 300, 40)
        write_answers(plan, plan.steps, num_correct, tokens)
        commit(plan, plan.steps)

    return train


def test_a_run_that_saves_tokens_is_shown_and_succeeds(tmp_path, monkeypatch, screens):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(module, "train", trains_to(360, 30))
    plan = Plan(tmp_path / "out", steps=3)
    assert screens.run(plan) == 0
    table, messages = screens.texts()
    # 300 and 360 of 600 are right; errors sqrt(p (1 - p) / 599): 2.0 points each; 40 to 30 tokens saves 25 %
    assert "25 % fewer tokens; accuracy +10.0 ± 2.9 points" in table
    assert "50.0 ± 2.0 %" in table
    assert "60.0 ± 2.0 %" in table
    assert "python" in messages
    assert "-m verl.trainer.main_ppo" in messages
    assert (plan.out / "quickstart.png").stat().st_size > 10_000
    assert "main_ppo" in (plan.out / "command.sh").read_text()


@pytest.mark.parametrize(
    ("num_correct", "tokens", "message"),
    [(360, 35, "12 % of the tokens saved, 20 % expected"), (240, 30, "accuracy fell by 10.0 points")],
)
def test_a_run_that_misses_its_aim_says_so_and_fails(tmp_path, monkeypatch, screens, num_correct, tokens, message):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(module, "train", trains_to(num_correct, tokens))
    assert screens.run(Plan(tmp_path / "out", steps=3)) == 1
    assert message in screens.texts()[1]


def test_a_finished_run_is_shown_again_without_training(tmp_path, monkeypatch, screens):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(module, "train", trains_to(360, 30))
    plan = Plan(tmp_path / "out", steps=3)
    screens.run(plan)
    first = screens.texts()[0]
    monkeypatch.setattr(module, "train", lambda *_: pytest.fail("trained again"))
    again = Screens()
    assert again.run(plan) == 0
    assert again.texts()[0] == first


def test_a_stopped_run_says_how_to_go_on_and_goes_on(tmp_path, monkeypatch, screens):
    plan = Plan(tmp_path / "out", steps=30, seed=4)
    stages = []

    def stopped(plan, stage, lock, console):
        stages.append(stage)
        write_metrics(plan, 0, range(1, 24))
        write_answers(plan, 0, 300, 40)
        commit(plan, 20)
        raise Stopped(signal.SIGINT)

    monkeypatch.setattr(module, "train", stopped)
    assert screens.run(plan) == 130
    message = screens.texts()[1]
    assert "the last checkpoint is that of step 20" in message
    assert f"laser-verl quickstart --out {plan.out} --steps 30 --seed 4" in message
    assert screens.run(plan) == 130
    assert stages == [Stage.FRESH, Stage.RESUME]


def test_missing_packages_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_PACKAGES", ("json", "no_such_package"))
    with pytest.raises(WrongUsage, match="quickstart needs no_such_package"):
        Screens().run(Plan(tmp_path / "out"))


def test_a_command_that_fails_shows_the_end_of_its_log(tmp_path, monkeypatch):
    plan = Plan(tmp_path)
    words = [sys.executable, "-c", "raise SystemExit('\\x1b[31mno luck\\x1b[0m')"]
    monkeypatch.setattr(training, "arguments", lambda *_: words)
    with pytest.raises(BadInput, match=r"exit code 1; the end of .*train\.log:\nno luck"):
        training.train(plan, Stage.FRESH, None, Console(file=io.StringIO()))


def test_a_signal_stops_the_command(tmp_path, monkeypatch):
    plan = Plan(tmp_path)
    script = "import os, signal, time; os.kill(os.getppid(), signal.SIGINT); time.sleep(600)"
    monkeypatch.setattr(training, "arguments", lambda *_: [sys.executable, "-c", script])
    with pytest.raises(Stopped):
        training.train(plan, Stage.FRESH, None, Console(file=io.StringIO()))


def test_progress_without_a_terminal_is_a_line_every_ten_steps(tmp_path):
    plan = Plan(tmp_path, steps=30)
    plan.metrics.mkdir()
    console = Console(file=io.StringIO(), width=200)
    display = Display(plan, Stage.FRESH, History(plan.metrics), console)
    for last in (1, 2, 9, 10, 11, 30):
        write_metrics(plan, 0, range(1, last + 1))
        display.update()
    lines = [line for line in console.file.getvalue().splitlines() if line.startswith("step")]
    assert [line.split(":")[0] for line in lines] == ["step 1/30", "step 10/30", "step 30/30"]
    # 29 steps of 2 s are left after the first, 20 after the tenth
    assert lines[0].endswith("accuracy 50 %, 30 tokens, 58 s left")
    assert lines[1].endswith("40 s left")


def test_a_model_of_one_s_own_is_said_to_be_slow(tmp_path):
    plan = Plan(tmp_path, steps=31, model=tmp_path, data=tmp_path / "data.parquet")
    plan.metrics.mkdir()
    console = Console(file=io.StringIO(), width=200)
    display = Display(plan, Stage.FRESH, History(plan.metrics), console)
    write_metrics(plan, 0, [1])
    display.update()
    assert "takes 2 s on this computer: 30 more take about 60 s" in console.file.getvalue()


@pytest.mark.parametrize(("seconds", "text"), [(40, "40 s"), (360, "6 min"), (5400, "1.5 h")])
def test_durations_in_words(seconds, text):
    assert as_duration(seconds) == text


def test_the_end_of_a_log_is_short(tmp_path):
    (tmp_path / "log").write_text("".join(f"line {at}\n" for at in range(100)))
    lines = tail(tmp_path / "log").splitlines()
    assert lines[0] == "line 80"
    assert lines[-1] == "line 99"


def test_a_dead_worker_ends_the_run_that_would_wait_for_it(tmp_path, monkeypatch):
    plan = Plan(tmp_path)
    sign = "(raylet) A worker died or was killed while executing a task by an unexpected system error."
    script = f"import time; print({sign!r}, flush=True); time.sleep(600)"
    monkeypatch.setattr(training, "arguments", lambda *_: [sys.executable, "-c", script])
    with pytest.raises(BadInput, match=r"a worker died: \(raylet\) A worker died"):
        training.train(plan, Stage.FRESH, None, Console(file=io.StringIO()))


def test_a_death_in_the_log_of_an_earlier_start_does_not_count(tmp_path):
    log = tmp_path / "train.log"
    log.write_text("EngineDeadError\n")
    watch = Watch(log)
    watch.look()
    with log.open("a") as end:
        end.write("EngineDead")
    watch.look()
    with log.open("a") as end:
        end.write("Error\n")
    with pytest.raises(BadInput, match="EngineDeadError"):
        watch.look()

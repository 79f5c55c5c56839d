import json

import pytest

from laser_verl.quickstart.evaluation import Estimate, Row
from laser_verl.quickstart.history import History, describe_step
from laser_verl.quickstart.picture import running_mean, save_picture


def line(step, **data):
    return json.dumps({"step": step, "data": data}) + "\n"


def trained(step, accuracy=0.5, tokens=30.0, seconds=2.0, targets=True):
    data = {"laser/accuracy": accuracy, "laser/response_length/mean": tokens, "timing_s/step": seconds}
    if targets:
        data |= {f"laser/target_length/{band}": 8.0 * at for at, band in enumerate(("easy", "medium", "hard"), 1)}
    return line(step, **data)


def test_steps_are_read_while_the_file_grows(tmp_path):
    file = tmp_path / "000.jsonl"
    file.write_text(line(0, **{"val-core/x/acc/mean@1": 0.5}) + trained(1) + trained(2)[:20])
    history = History(tmp_path)
    assert list(history.trained) == [1]
    assert 0 in history.steps
    with file.open("a") as end:
        end.write(trained(2)[20:])
    history.update()
    assert list(history.trained) == [1, 2]


def test_a_later_start_replaces_the_steps_that_it_repeats(tmp_path):
    (tmp_path / "000.jsonl").write_text(trained(1, 0.1) + trained(2, 0.2) + trained(3, 0.3))
    (tmp_path / "001.jsonl").write_text(trained(3, 0.9) + trained(4, 0.4))
    assert History(tmp_path).series("laser/accuracy") == ([1, 2, 3, 4], [0.1, 0.2, 0.9, 0.4])


def test_seconds_per_step_leave_out_the_first(tmp_path):
    file = tmp_path / "000.jsonl"
    file.write_text(trained(1, seconds=40.0))
    assert History(tmp_path).seconds_per_step() == 40.0
    file.write_text(trained(1, seconds=40.0) + trained(2, seconds=2.0) + trained(3, seconds=4.0))
    # (2 + 4) / 2
    assert History(tmp_path).seconds_per_step() == 3.0


def test_no_steps_have_no_seconds(tmp_path):
    assert History(tmp_path).seconds_per_step() is None


def test_a_step_in_words(tmp_path):
    (tmp_path / "000.jsonl").write_text(trained(1, 0.64, 33.4) + trained(2, 0.64, 33.4, targets=False))
    steps = History(tmp_path).trained
    assert describe_step(steps[1]) == "accuracy 64 %, 33 tokens, targets 8/16/24"
    assert describe_step(steps[2]) == "accuracy 64 %, 33 tokens"


def test_running_mean():
    # 2; (2 + 4) / 2; (4 + 9) / 2
    assert running_mean([2.0, 4.0, 9.0], width=2) == [2.0, 3.0, 6.5]


@pytest.mark.parametrize("targets", [True, False])
def test_the_picture_shows_something(tmp_path, targets):
    image = pytest.importorskip("matplotlib.image")
    (tmp_path / "000.jsonl").write_text("".join(trained(step, targets=targets) for step in range(1, 30)))
    half = Estimate(0.5, 0.02)
    tokens = Estimate(30.0, 1.0)
    row = Row("all", 600, half, half, tokens, tokens)
    path = save_picture(History(tmp_path), row, 29, "title", tmp_path / "picture.png")
    pixels = image.imread(path)[..., :3]
    assert min(pixels.shape[:2]) > 500
    # Ink on a white page: between a thousandth and a third of the pixels are not white.
    assert 0.001 < (pixels.min(axis=2) < 0.9).mean() < 0.33

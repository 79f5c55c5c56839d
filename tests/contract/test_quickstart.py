"""The command of a quickstart is one that `laser-verl check` and so verl's own validation accept."""

from __future__ import annotations

from pathlib import Path

import pytest

from laser_verl.core.registry import method_names
from laser_verl.quickstart import world
from laser_verl.quickstart.command import arguments
from laser_verl.quickstart.plan import Plan, Stage
from laser_verl.verl_ext.checks import check


def checked(plan: Plan) -> dict[str, object]:
    plan.out.mkdir()
    world.write(plan, *world.make_problems(plan))
    words = arguments(plan, Stage.FRESH)
    report = check(words[words.index("verl.trainer.main_ppo") + 1 :])
    assert report.mistakes == []
    return report.active


@pytest.mark.parametrize("method", sorted(set(method_names()) - {"l1_exact", "l1_max", "mixed", "o1_pruner"}))
def test_every_method_that_needs_nothing_of_the_data(tmp_path: Path, method: str) -> None:
    active = checked(Plan(tmp_path / "out", method=method))
    assert active["method"] == method
    assert active["trainer"] == "laser_sync"


def test_two_nodes(tmp_path: Path) -> None:
    checked(Plan(tmp_path / "out", nodes=2))


def test_a_model_of_the_reader_s_own(tmp_path: Path) -> None:
    miniature = Plan(tmp_path / "miniature")
    checked(miniature)
    checked(Plan(tmp_path / "out", nodes=2, model=miniature.base, data=miniature.train_file))

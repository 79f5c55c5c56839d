"""Methods of other packages, found by the entry-point group `laser_verl.methods`: good ones, and broken ones."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from laser_verl.cli import app
from laser_verl.core import Need, Rollouts, build, describe, method_names, register
from laser_verl.core.registry import METHODS

GOOD = '''
from dataclasses import dataclass

import numpy as np

from laser_verl.core import MethodBase, Need, Shaped, register


@register("ep_good", needs={Need.RESPONSE}, formula="C + bonus", source="a test")
@dataclass(kw_only=True, eq=False)
class Good(MethodBase):
    """The same bonus for all.

    Attributes:
        bonus: What everybody gets.
    """

    bonus: float = 1.0

    def terms(self, rollouts):
        return Shaped(self.scores.of(rollouts), np.full(rollouts.size, self.bonus))
'''

MODULES = {
    "ep_good_module": GOOD,
    "ep_broken_module": "import a_package_that_is_nowhere\n",
    "ep_silent_module": "NAME = 'ep_silent'\n",
    "ep_thief_module": "raise AssertionError('nobody asks for this')\n",
}
POINTS = {
    "ep_good": "ep_good_module",
    "ep_broken": "ep_broken_module",
    "ep_gone": "ep_module_that_is_not_there",
    "ep_silent": "ep_silent_module",
    "laser": "ep_thief_module",
    "dapo": "ep_thief_module",
}


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package "users-methods" on the path, as pip would leave it."""
    for name, text in MODULES.items():
        (tmp_path / f"{name}.py").write_text(text)
    info = tmp_path / "users_methods-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: users-methods\nVersion: 1.0\n")
    lines = "".join(f"{name} = {module}\n" for name, module in POINTS.items())
    (info / "entry_points.txt").write_text(f"[laser_verl.methods]\n{lines}")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(METHODS, "_entries", dict(METHODS._entries))
    yield
    for name in MODULES:
        sys.modules.pop(name, None)


def refused(name: str) -> str:
    told = set()
    for ask in (describe, build):
        with pytest.raises(ValueError) as error:  # noqa: PT011 (the callers check the message)
            ask(name)
        told.add(str(error.value))
    assert len(told) == 1
    return told.pop()


def test_all_names_are_listed_and_no_package_is_imported_for_that() -> None:
    assert POINTS.keys() - {"dapo"} <= set(method_names())
    assert method_names() == sorted(set(method_names()))
    assert not MODULES.keys() & sys.modules.keys()


def test_a_good_one_is_built_with_its_options_checked() -> None:
    method = build("ep_good", {"bonus": 2})
    # solved 1 + 2, wrong -0.5 + 2
    assert method.shape(Rollouts.build([0, 0], [5, 6], [1, 0])).reward.tolist() == [3.0, 1.5]
    with pytest.raises(ValueError, match="unknown ep_good option 'bonsu'; did you mean 'bonus'"):
        build("ep_good", {"bonsu": 2})


def test_a_good_one_is_documented() -> None:
    info = describe("ep_good")
    assert (info.summary, info.formula, info.source) == ("The same bonus for all.", "C + bonus", "a test")
    assert info.options["bonus"] == 1.0
    assert info.meanings["bonus"] == "What everybody gets."


def test_the_command_line_knows_a_good_one(tmp_path: Path) -> None:
    listed = CliRunner().invoke(app, ["methods", "ep_good", "--json"])
    assert json.loads(listed.stdout)[0]["options"]["bonus"] == 1.0
    batch = {"prompt": [0], "response_length": [5], "correct": [1], "well_formed": [1]}
    (tmp_path / "batch.jsonl").write_text(json.dumps(batch))
    done = CliRunner().invoke(app, ["simulate", "ep_good", "--input", str(tmp_path / "batch.jsonl")])
    assert json.loads(done.stdout)["reward"] == [2.0]


def test_a_good_one_can_be_a_part_of_a_mixture() -> None:
    mixed = build("mixed", {"per_data_source": {"x": {"method": "ep_good", "bonus": 3}, "default": "none"}})
    columns = {"data_source": ["x", "y"]}
    assert mixed.shape(Rollouts.build([0, 1], [5, 6], [1, 1], columns=columns)).reward.tolist() == [4.0, 1.0]


def test_one_that_cannot_be_imported_names_package_module_and_reason() -> None:
    assert refused("ep_broken") == (
        "method 'ep_broken' of users-methods cannot be imported from 'ep_broken_module': ModuleNotFoundError: "
        "No module named 'a_package_that_is_nowhere'; mend or uninstall it"
    )
    assert "from 'ep_module_that_is_not_there': ModuleNotFoundError: No module named" in refused("ep_gone")


def test_one_that_registers_nothing_is_told_how() -> None:
    assert refused("ep_silent") == (
        "method 'ep_silent' of users-methods: importing 'ep_silent_module' registers no such name; "
        "use @register('ep_silent')"
    )


def test_a_broken_one_as_a_part_names_the_part() -> None:
    with pytest.raises(ValueError, match=r"^per_data_source\.math: method 'ep_broken' of users-methods cannot be im"):
        build("mixed", {"per_data_source": {"math": "ep_broken"}})


def test_broken_ones_leave_the_others_alone() -> None:
    refused("ep_broken")
    assert build("none").shape(Rollouts.build([0], [5], [1])).reward.tolist() == [1.0]
    assert build("ep_good").name == "ep_good"


def test_a_name_of_ours_stays_ours() -> None:
    assert "2505.15612" in describe("laser").source
    assert "ep_thief_module" not in sys.modules


def test_a_name_of_a_reward_manager_of_verl_is_left_out_and_refused() -> None:
    assert "dapo" not in method_names()
    told = (
        "method 'dapo' of users-methods has the name of a reward manager of verl, so it is left out; "
        "rename it, e.g. 'my_dapo'"
    )
    assert refused("dapo") == told
    assert METHODS.left_out() == [told]
    assert "ep_thief_module" not in sys.modules
    with pytest.raises(ValueError, match=r"method 'naive' has the name of a reward manager of verl; rename it, e\.g\."):
        register("naive", needs={Need.RESPONSE}, formula="C", source="none")(type(build("none")))


def test_a_name_that_is_nearly_one_of_a_package_is_suggested() -> None:
    assert refused("ep_goood").startswith("unknown method 'ep_goood'; did you mean 'ep_good'? known: ")


def test_the_list_leaves_broken_ones_out_and_says_so() -> None:
    done = CliRunner().invoke(app, ["methods", "--json"])
    assert done.exit_code == 0
    names = [record["name"] for record in json.loads(done.stdout)]
    assert "ep_good" in names
    assert not {"ep_broken", "ep_gone", "ep_silent"} & set(names)
    told = done.stderr.splitlines()
    assert [line.split("'")[1] for line in told] == ["ep_broken", "ep_gone", "ep_silent"]
    assert all(line.startswith("left out: method 'ep_") for line in told)

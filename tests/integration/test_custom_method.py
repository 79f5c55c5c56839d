"""A user's package, `examples/custom_method`, installed in an environment of its own: from `methods` to training."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.integration.runs import REPOSITORY, SEEDED, Run, World, finish

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2700)]

EXAMPLE = REPOSITORY / "examples" / "custom_method"
OPTION = "+reward.reward_kwargs.half_length"
HALF_PRICE = ("reward.reward_manager.name=half_price", f"{OPTION}=24")


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The interpreter of an environment that sees this one's packages and this clone, and has the example installed."""
    folder = tmp_path_factory.mktemp("users")
    venv.create(folder / "venv", symlinks=True)
    interpreter = str(folder / "venv" / "bin" / "python")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site_packages = folder / "venv" / "lib" / version / "site-packages"
    # addsitedir heeds what an editable install leaves there, a plain path does not; the clone comes first all the same.
    lines = [str(REPOSITORY), f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})"]
    (site_packages / "host.pth").write_text("\n".join(lines) + "\n")
    source = shutil.copytree(EXAMPLE, folder / "custom_method")
    offline = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
    command = [sys.executable, "-m", "pip", "--python", interpreter, "install", "-q", *offline, str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (site_packages / "half_price.py").is_file()
    return interpreter


def laser_verl(python: str, arguments: Sequence[str], text: str = "") -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return subprocess.run(
        [python, "-m", "laser_verl", *arguments],
        input=text, capture_output=True, text=True, cwd=Path(python).parent, env=kept, timeout=600,
    )  # fmt: skip


def test_the_module_is_as_short_as_promised() -> None:
    assert len((EXAMPLE / "half_price.py").read_text().splitlines()) <= 30


def test_the_environment_has_the_method_and_takes_this_clone_and_the_host(python: str) -> None:
    program = (
        "import importlib.util as u, half_price, laser_verl; "
        "print(half_price.__file__, laser_verl.__file__, u.find_spec('verl').origin)"
    )
    done = subprocess.run([python, "-c", program], capture_output=True, text=True, cwd="/", timeout=120)
    assert done.returncode == 0, done.stderr
    method, ours, host = map(Path, done.stdout.split())
    assert method.is_relative_to(Path(python).parents[1])
    assert ours.is_relative_to(REPOSITORY)
    assert not host.is_relative_to(Path(python).parents[1])


def test_methods_documents_it(python: str) -> None:
    done = laser_verl(python, ["methods", "half_price", "--json"])
    assert done.returncode == 0, done.stderr
    [record] = json.loads(done.stdout)
    assert (record["name"], record["needs"], record["source"]) == ("half_price", ["response"], "this package")
    assert record["options"] == {
        "half_length": 1000,
        "scores": {"correct": 1.0, "wrong": -0.5, "malformed": -1.0},
        "ramp": None,
    }
    said = laser_verl(python, ["methods", "half_price"]).stdout
    assert "Tokens that halve the bonus" in said
    assert "C + [solved] * 2^(-L / half_length)" in said
    assert "half_price" in laser_verl(python, ["methods"]).stdout


def test_simulate_shapes_with_it(python: str) -> None:
    batch = {
        "prompt": ["p"] * 4,
        "response_length": [500, 1000, 500, 500],
        "correct": [1, 1, 0, 1],
        "well_formed": [1, 1, 1, 0],
    }
    options = ["--options", '{"half_length": 500}']
    done = laser_verl(python, ["simulate", "half_price", "--input", "-", *options], json.dumps(batch))
    assert done.returncode == 0, done.stderr
    line = json.loads(done.stdout)
    # a half at 500 tokens, a quarter at 1000, nothing for what is wrong or malformed
    assert line["reward"] == [1.5, 1.25, -0.5, -1.0]
    assert line["length_reward"] == [0.5, 0.25, 0.0, 0.0]


def test_its_own_check_speaks(python: str) -> None:
    arguments = ["simulate", "half_price", "--input", "-", "--options", '{"half_length": 0}']
    batch = {"prompt": [0], "response_length": [5], "correct": [1], "well_formed": [1]}
    done = laser_verl(python, arguments, json.dumps(batch))
    assert done.returncode == 2
    assert done.stderr == "laser_verl: half_length=0 must be 1 token or more; give e.g. 1000\n"


def test_check_finds_nothing_in_a_run_but_what_the_method_refuses(python: str, world: World) -> None:
    done = laser_verl(python, ["check", "--json", *world.arguments(), HALF_PRICE[0], f"{OPTION}=0"])
    found = json.loads(done.stdout)
    message = "half_length=0 must be 1 token or more; give e.g. 1000"
    assert found["errors"] == [{"field": "reward.reward_kwargs.half_length", "message": message}], done.stderr
    assert done.returncode == 1
    assert found["active"]["method"] == "half_price"
    assert found["active"]["shaped_on"] == "driver"


@pytest.mark.slow
def test_two_steps_are_trained_with_it(python: str, world: World, runs_folder: Path) -> None:
    arguments = [*world.arguments(), *HALF_PRICE, *SEEDED]
    done = laser_verl(python, ["check", *arguments])
    assert done.returncode == 0, done.stderr
    run = finish(Run(runs_folder / "half_price", python), arguments)
    assert "half_price (half_length=24), groups shaped by laser_sync" in run.log.read_text()
    for step in (1, 2):
        metrics = run.metrics()[step]
        assert metrics["laser/half_price/half_length"] == 24.0
        assert 0.05 < metrics["laser/accuracy"] < 0.95
        assert metrics["laser/length_reward/mean"] > 0.0
        assert metrics["critic/score/mean"] == pytest.approx(metrics["laser/shaped_reward/mean"], abs=1e-5)
        assert metrics["actor/grad_norm"] > 1e-3
        for row in run.rollouts(step):
            is_solved = row["correct"] and row["well_formed"]
            bonus = 2 ** (-row["response_length"] / 24) if is_solved else 0.0
            assert row["score"] == pytest.approx(row["task_reward"] + bonus, abs=1e-5)

"""The wheel in a fresh environment outside the clone, without the CPU stack and without verl."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import pytest

import laser_verl

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2700)]

LOCK = Path(__file__).resolve().parents[2] / "requirements" / "cpu.lock"
# What verl brings: heavy, and not needed by the commands tested here.
HOST = "verl"


class Environment:
    """A virtual environment and a working folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "venv" / "bin"
        subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True, timeout=120)

    def run(self, program: str, arguments: Sequence[str], text: str = "") -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
        return subprocess.run(
            [str(self.bin / program), *arguments],
            input=text, capture_output=True, text=True, cwd=self.folder, env=kept, timeout=600,
        )  # fmt: skip

    def pip_install(self, *arguments: str) -> None:
        done = self.run("python", ["-m", "pip", "install", "-q", "--disable-pip-version-check", *arguments])
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    made = Environment(tmp_path_factory.mktemp("outside"))
    made.pip_install("--no-deps", str(wheel))
    base = [line for line in metadata.requires("laser-verl") or [] if "extra ==" not in line]
    light = [line for line in base if not line.startswith(HOST)]
    assert len(light) == len(base) - 1
    made.pip_install("--constraint", str(LOCK), *light)
    return made


def test_the_environment_has_our_package_and_neither_verl_nor_torch(environment: Environment) -> None:
    program = (
        "import importlib.util as u, laser_verl; "
        "print(laser_verl.__file__, [n for n in ('verl', 'torch', 'vllm', 'ray', 'transformers') if u.find_spec(n)])"
    )
    done = environment.run("python", ["-c", program])
    assert done.returncode == 0, done.stderr
    file, found = done.stdout.split(maxsplit=1)
    assert Path(file).is_relative_to(environment.folder)
    assert found.strip() == "[]"


def test_info_names_our_version_and_says_that_verl_is_missing(environment: Environment) -> None:
    done = environment.run("laser-verl", ["info"])
    assert done.returncode == 0, done.stderr
    assert laser_verl.__version__ in done.stdout
    assert "verl is not installed" in done.stdout


def test_methods_lists_the_three_methods(environment: Environment) -> None:
    done = environment.run("laser-verl", ["methods", "--json"])
    assert done.returncode == 0, done.stderr
    methods = {method["name"]: method for method in json.loads(done.stdout)}
    assert {"laser", "laser_d", "laser_de"} <= set(methods)
    assert methods["laser_d"]["options"]["alpha"] == 0.5


def test_simulate_shapes_a_batch_from_standard_input(environment: Environment) -> None:
    batch = {
        "prompt": ["a"] * 4 + ["b"] * 4,
        "response_length": [1000, 2048, 2049, 5000, 8000, 100, 100, 9000],
        "correct": [True, True, True, True, True, False, False, False],
        "well_formed": [True] * 7 + [False],
    }
    options = {"target_lengths": {"easy": 2048, "medium": 4096, "hard": 8192}}
    arguments = ["simulate", "laser_d", "--options", json.dumps(options), "--input", "-"]
    done = environment.run("laser-verl", arguments, text=json.dumps(batch) + "\n")
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    result = json.loads(line)
    # a: 4 of 4 solved, easy, target 2048: correct is 1, and 0.5 more up to the target (2048 itself included).
    # b: 1 of 4 solved, below one third, hard, target 8192: 8000 tokens are within; wrong is -0.5, malformed -1.
    assert result["band"] == ["easy"] * 4 + ["hard"] * 4
    assert result["reward"] == [1.5, 1.5, 1.0, 1.0, 1.5, -0.5, -0.5, -1.0]
    assert result["task_reward"] == [1.0, 1.0, 1.0, 1.0, 1.0, -0.5, -0.5, -1.0]
    assert result["length_reward"] == [0.5, 0.5, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0]


def test_the_presets_travel_inside_the_package(environment: Environment) -> None:
    program = "import pathlib, laser_verl; print(pathlib.Path(laser_verl.__file__).parent / 'configs')"
    configs = Path(environment.run("python", ["-c", program]).stdout.strip())
    assert (configs / "laser_verl.yaml").is_file()
    assert (configs / "method" / "laser_d.yaml").is_file()

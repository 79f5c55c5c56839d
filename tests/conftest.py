from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.good_run import good_arguments, write_world

REPOSITORY = Path(__file__).resolve().parents[1]

# Nothing in a test may reach a model hub, report usage, or open a tracking run.
for _name, _value in {
    "HF_HUB_OFFLINE": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TOKENIZERS_PARALLELISM": "false",
    "WANDB_MODE": "disabled",
}.items():
    os.environ.setdefault(_name, _value)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip, visibly, what this call or this machine cannot run; mark everything under integration/ as such."""
    has_accelerator = shutil.which("nvidia-smi") is not None
    for item in items:
        if "integration" in item.path.relative_to(REPOSITORY).parts:
            item.add_marker(pytest.mark.integration)
        if "slow" in item.keywords and not config.getoption("--slow"):
            item.add_marker(pytest.mark.skip(reason="slow: runs with --slow, that is in `make test-all`"))
        if "gpu" in item.keywords and not has_accelerator:
            item.add_marker(pytest.mark.skip(reason="no accelerator on this machine"))


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source distribution as a release is, with the build backend already installed."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(REPOSITORY)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The arguments of a run that would start."""
    folder = tmp_path_factory.mktemp("world")
    write_world(folder)
    return good_arguments(folder)

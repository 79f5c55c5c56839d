from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.runs import World


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def runs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="session")
def world_with_columns(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The world whose rows bring what methods read of them: a budget, and a reference's lengths and accuracy."""
    columns = {"budget": 24, "reference_length": 30.0, "reference_accuracy": 0.5}
    return World(tmp_path_factory.mktemp("world_with_columns"), columns=columns)

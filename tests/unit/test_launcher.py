"""`examples/run_laser_d_1.5b_fsdp.sh`: the arguments that a program in the place of Python or laser-verl gets."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from laser_verl.core import method_names

REPOSITORY = Path(__file__).resolve().parents[2]
LAUNCHER = REPOSITORY / "examples" / "run_laser_d_1.5b_fsdp.sh"


def launched(folder: Path, *arguments: str, **variables: str) -> list[str]:
    for name in ("python3", "laser-verl"):
        (folder / name).write_text(f"#!/bin/sh\nprintf '%s\\n' {name} \"$@\"\n")
        (folder / name).chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if name not in ("METHOD", "CHECK")}
    done = subprocess.run(
        ["bash", str(LAUNCHER), *arguments],
        env=kept
        | {"PATH": f"{folder}:{kept['PATH']}", "TRAIN_FILES": "a.parquet", "VAL_FILES": "b.parquet"}
        | variables,
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    return done.stdout.splitlines()


def test_the_launcher_trains_with_the_preset_of_laser_d(tmp_path: Path) -> None:
    words = launched(tmp_path, "trainer.total_epochs=1")
    assert words[:3] == ["python3", "-m", "verl.trainer.main_ppo"]
    assert {"method=laser_d", "data.train_files=a.parquet", "trainer.total_epochs=1"} <= set(words)
    assert f"--config-path={REPOSITORY / 'configs'}" in words


@pytest.mark.parametrize("method", method_names())
def test_a_method_without_a_preset_is_set_by_its_name(tmp_path: Path, method: str) -> None:
    has_preset = (REPOSITORY / "configs" / "method" / f"{method}.yaml").is_file()
    words = launched(tmp_path, METHOD=method, CHECK="1")
    assert words[:2] == ["laser-verl", "check"]
    found = [word for word in words if word.startswith(("method=", "~method", "reward.reward_manager"))]
    assert found == ([f"method={method}"] if has_preset else ["~method", f"reward.reward_manager.name={method}"])

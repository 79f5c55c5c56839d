"""Every reference case is replayed by one test, or left out for a reason."""

from __future__ import annotations

import importlib
from pathlib import Path

from tests.unit.baselines.replays import CASES, Replays


def tables() -> dict[str, Replays]:
    modules = sorted(path.stem for path in Path(__file__).parent.glob("test_*_methods.py"))
    return {name: importlib.import_module(f"tests.unit.baselines.{name}").GOLDEN for name in modules}


def test_every_case_is_replayed_once_or_left_out_for_a_reason() -> None:
    replayed = [name for table in tables().values() for name in table.replays]
    left_out = {name: reason for table in tables().values() for name, reason in table.left_out.items()}
    assert len(replayed) == len(set(replayed))
    assert not set(replayed) & left_out.keys()
    assert all(left_out.values())
    assert set(replayed) | left_out.keys() == CASES.keys()

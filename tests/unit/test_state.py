"""What a state may hold: everything else is refused by its key, before it is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from laser_verl.core.state import compare_fingerprints, load_state, pack, save_state


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    state = {"n": 3, "text": "a", "none": None, "list": [1, 2.5], "inner": {"x": np.array([1, 2]), "y": 0.5}}
    save_state(tmp_path / "laser_state", {"method": state})
    loaded = load_state(tmp_path / "laser_state")["method"]
    assert loaded["inner"].pop("x").tolist() == [1, 2]
    assert loaded == {"n": 3, "text": "a", "none": None, "list": [1, 2.5], "inner": {"y": 0.5}}


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ({"a/b": 1}, "state key 'a/b' must be a text without a slash; rename it, e.g. 'a.b'"),
        ({"inner": {"a/b": 1}}, "state key 'a/b' in inner must be a text without a slash"),
        ({7: 1}, "state key 7 must be a text without a slash; rename it, e.g. '7'"),
        (
            {"n": np.int64(3)},
            "state entry n=np.int64(3) must be a numpy array or what JSON carries (Object of type int64 is not JSON "
            "serializable); give int(x), float(x), list(x) or np.asarray(x)",
        ),
        ({"inner": {"s": {1, 2}}}, "state entry inner.s={1, 2} must be a numpy array or what JSON carries (Object"),
        ({"o": np.array([None, {}])}, "state entry o is an array of object; give one of numbers or texts"),
    ],
)
def test_what_a_state_cannot_hold_names_its_key_and_the_remedy(tmp_path: Path, state: Any, told: str) -> None:
    with pytest.raises(ValueError, match="state") as error:
        pack(state)
    assert str(error.value).startswith(told)
    with pytest.raises(ValueError, match="state"):
        save_state(tmp_path / "laser_state", state)
    assert list(tmp_path.iterdir()) == []


def test_a_key_of_the_fingerprint_that_one_of_them_lacks_is_not_compared(tmp_path: Path) -> None:
    # states of an earlier release have no train_prompts, and some data sets cannot tell it
    compare_fingerprints({"train_rows": 48}, {"train_rows": 48, "train_prompts": "0f"}, tmp_path)
    compare_fingerprints({"train_rows": 48, "train_prompts": "0f"}, {"train_rows": 48}, tmp_path)
    with pytest.raises(ValueError, match="train_prompts was '0f', is '1e'"):
        compare_fingerprints({"train_prompts": "0f"}, {"train_prompts": "1e"}, tmp_path)

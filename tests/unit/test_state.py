"""What a state may hold and belongs to: everything else is refused by its key, before it is written."""

from __future__ import annotations

import hashlib
import json
import logging
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from laser_verl import __version__
from laser_verl.core.checkpoints import compare_fingerprints, remove_orphans
from laser_verl.core.state import load_state, pack, read_state, save_state


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    state = {"n": 3, "text": "a", "none": None, "list": [1, 2.5], "inner": {"x": np.array([1, 2]), "y": 0.5}}
    save_state(tmp_path / "laser_state", {"method": state, "empty": {}, "version": 7, "release": "mine"})
    loaded = load_state(tmp_path / "laser_state")
    method = loaded.pop("method")
    assert loaded == {"empty": {}, "version": 7, "release": "mine"}
    assert method["inner"].pop("x").tolist() == [1, 2]
    assert method == {"n": 3, "text": "a", "none": None, "list": [1, 2.5], "inner": {"y": 0.5}}


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((0, 3), dtype=np.int8),
        np.array(2.5),
        np.array(["a", "\udc80", "long"], dtype=np.str_),
        np.arange(12).reshape(3, 4)[:, ::2],
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(4, dtype=">u8"),
        np.array([np.nan, np.inf]),
        np.array([True, False]),
    ],
    ids=["no rows", "a number", "texts", "a view", "by columns", "big-endian", "no finite numbers", "flags"],
)
def test_every_kind_of_array_comes_back_writable_and_of_its_type(tmp_path: Path, array: np.ndarray) -> None:
    save_state(tmp_path / "laser_state", {"a": {"b": {"c": array}}})
    loaded = load_state(tmp_path / "laser_state")["a"]["b"]["c"]
    np.testing.assert_array_equal(loaded, array)
    assert (loaded.dtype, loaded.shape, loaded.flags.writeable) == (array.dtype, array.shape, True)


def test_the_file_is_a_header_with_a_checksum_and_arrays_of_numpy(tmp_path: Path) -> None:
    path = tmp_path / "laser_state"
    save_state(path, {"step": 4, "method": {"seen": np.array([7, 9])}})
    written = path.read_bytes()
    kind, version, length, digest = struct.unpack("<16sIQ32s", written[:60])
    assert (kind, version, length) == (b"laser_verl state", 2, len(written) - 60)
    assert digest == hashlib.blake2b(b"\x02\0\0\0" + written[60:], digest_size=32).digest()
    with path.open("rb") as file:
        file.seek(60)
        about, seen = np.load(file), np.load(file)
        assert file.read() == b""
    assert json.loads(about.tobytes()) == {
        "release": __version__,
        "plain": {"step": 4},
        "arrays": ["method/seen"],
    }
    assert seen.tolist() == [7, 9]


def test_the_release_that_wrote_a_file_is_known(tmp_path: Path) -> None:
    save_state(tmp_path / "laser_state", {"n": 1})
    read = read_state(tmp_path / "laser_state")
    assert (read.version, read.release, read.state) == (2, __version__, {"n": 1})


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
        save_state(tmp_path / "step" / "laser_state", state)
    assert list(tmp_path.iterdir()) == []


def test_a_key_of_the_fingerprint_that_one_of_them_lacks_is_not_compared(tmp_path: Path) -> None:
    # some data sets cannot tell their prompts
    for saved, current in [({}, {"train_prompts": "0f"}), ({"train_prompts": "0f"}, {}), ({"rollout_n": 8}, {})]:
        assert compare_fingerprints({"train_rows": 48, **saved}, {"train_rows": 48, **current}, tmp_path) == []


def test_other_data_are_told_and_another_option_is_refused(tmp_path: Path) -> None:
    saved = {"rollout_n": 8, "train_files": ["a.parquet"], "train_rows": 48, "train_prompts": "0f"}
    other = {"rollout_n": 8, "train_files": ["b.parquet"], "train_rows": 50, "train_prompts": "0f"}
    assert compare_fingerprints(saved, other, tmp_path) == [
        "train_files was ['a.parquet'], is ['b.parquet']",
        "train_rows was 48, is 50",
    ]
    with pytest.raises(ValueError, match="belongs to another run") as error:
        compare_fingerprints(saved, {**other, "rollout_n": 4}, tmp_path / "laser_state")
    assert str(error.value) == (
        f"laser_verl: {tmp_path}/laser_state belongs to another run: rollout_n was 8, is 4. Set these back to resume, "
        "or delete the file to keep the weights and start afresh"
    )


def checkpoints(root: Path, *with_actor: int, without: tuple[int, ...] = ()) -> None:
    for step in (*with_actor, *without):
        folder = root / f"global_step_{step}"
        (folder / "actor" if step in with_actor else folder).mkdir(parents=True)
        (folder / "laser_state").write_bytes(b"state")
        (folder / "data.pt").write_bytes(b"loader")


def left(root: Path) -> list[str]:
    return sorted(path.parent.name for path in root.glob("*/laser_state"))


def test_the_state_of_a_checkpoint_goes_with_its_weights(tmp_path: Path) -> None:
    checkpoints(tmp_path, 9, 10, without=(2, 8, 11))
    for name in ("global_step_old", "global_step_2_copy", "2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "laser_state").write_bytes(b"state")
    remove_orphans(tmp_path, 10)
    # 11 is of a run that went on from an earlier step; the rest of a folder is not ours
    kept = ["2", *(f"global_step_{name}" for name in ("10", "11", "2_copy", "9", "old"))]
    assert left(tmp_path) == kept
    assert (tmp_path / "global_step_2" / "data.pt").exists()


def test_nothing_is_removed_where_the_weights_lie_on_another_machine(tmp_path: Path) -> None:
    checkpoints(tmp_path, without=(2, 4))
    remove_orphans(tmp_path, 4)
    remove_orphans(tmp_path / "nowhere", 4)
    assert left(tmp_path) == ["global_step_2", "global_step_4"]


def test_a_state_that_cannot_be_removed_is_logged_and_the_next_one_goes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints(tmp_path, 4, without=(1, 2, 3))
    stuck = tmp_path / "global_step_2" / "laser_state"
    stuck.unlink()
    stuck.mkdir()
    with caplog.at_level(logging.WARNING):
        remove_orphans(tmp_path, 4)
    assert left(tmp_path) == ["global_step_2", "global_step_4"]
    assert f"laser_verl: {stuck} belongs to no checkpoint any more and cannot be removed: Is a directory" in caplog.text

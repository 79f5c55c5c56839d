"""Files that are no whole state of this format: each kind is told apart, none is looked into, none runs code."""

from __future__ import annotations

import builtins
import errno
import hashlib
import io
import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from laser_verl import __version__
from laser_verl.core import state as state_file
from laser_verl.core.state import load_state, save_state

REMEDY = "resume from another global_step folder, or delete this file to keep the weights and start afresh"
COPY = f"if this is a copy, copy it again; else {REMEDY}"
OTHER = "give another file, or resume from another global_step folder"
OLDER = (
    f"was written by an older laser_verl: its format is 1, laser_verl {__version__} reads 2; resume with the "
    f"laser_verl of its run, or {REMEDY}"
)
NEWER = (
    f"was written by a newer laser_verl: its format is 3, laser_verl {__version__} reads 2; upgrade laser_verl, or "
    f"{REMEDY}"
)
DAMAGED = f"is damaged: its bytes do not have the checksum that was saved with them; {COPY}"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "laser_state"


@pytest.fixture
def whole(path: Path) -> bytes:
    save_state(path, {"method": {"method": "hapo", "seen": np.arange(3)}})
    return path.read_bytes()


def refusal(path: Path, content: bytes | None = None) -> str:
    """What is said of a file after its name; a refusal changes nothing of it."""
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"^laser_verl: ") as error:
        load_state(path)
    assert content is None or path.read_bytes() == content
    return str(error.value).removeprefix(f"laser_verl: {path} ")


def sealed(payload: bytes, version: int = 2) -> bytes:
    """A file whose checksum is right, whatever it holds."""
    digest = hashlib.blake2b(version.to_bytes(4, "little") + payload, digest_size=32).digest()
    return struct.pack("<16sIQ32s", b"laser_verl state", version, len(payload), digest) + payload


def saved(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def about(text: bytes) -> bytes:
    return saved(np.frombuffer(text, dtype=np.uint8))


def test_every_flipped_bit_is_found(path: Path, whole: bytes) -> None:
    load_state(path)
    for place in range(len(whole)):
        for bit in range(8):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << bit
            told = refusal(path, bytes(flipped))
            if place < len(b"laser_verl state"):
                assert told.startswith("is no laser_state but "), (place, bit)
            else:
                assert told == DAMAGED, (place, bit)


def test_a_file_cut_off_at_any_length_is_told_by_its_length(path: Path, whole: bytes) -> None:
    assert refusal(path, b"") == f"is empty, as after a crash of the machine; {REMEDY}"
    for length in range(1, len(whole)):
        of = f" of {len(whole)}" if length >= 60 else ""
        assert refusal(path, whole[:length]) == f"is cut off after {length}{of} bytes; {COPY}"


def test_more_bytes_than_were_saved_or_none_in_their_place_are_damage(path: Path, whole: bytes) -> None:
    assert refusal(path, whole + b"\0") == DAMAGED
    assert refusal(path, whole + whole) == DAMAGED
    # as a machine that crashed can leave a file of the right length
    assert refusal(path, whole[:-100] + bytes(100)) == DAMAGED


@pytest.mark.parametrize(("version", "told"), [(1, OLDER), (3, NEWER)])
def test_other_versions_of_the_format_are_told_apart(
    path: Path, monkeypatch: pytest.MonkeyPatch, version: int, told: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(state_file, "VERSION", version)
        save_state(path, {"n": 1})
        assert load_state(path) == {"n": 1}
    assert refusal(path) == told
    # of another version, but damaged first of all: what it says of its version may be the damage
    assert refusal(path, path.read_bytes()[:-1]).startswith("is cut off")


def test_a_file_of_before_the_header_is_of_an_older_version(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, **{"__json__": np.frombuffer(b'{"version": 1}', dtype=np.uint8), "method/seen": np.arange(3)})
    assert refusal(path) == OLDER


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.target,))


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def foreign(trap: Trap) -> dict[str, tuple[bytes, str]]:
    pickled = pickle.dumps(trap)
    objects = saved(np.array([trap], dtype=object))
    old = zipped(**{"__json__.npy": objects, "method/seen.npy": objects})
    own = about(b'{"release": "0", "plain": {}, "arrays": ["seen"]}') + objects
    return {
        "a pickle": (pickled, f"is no laser_state but a pickle; {OTHER}"),
        "a file of torch.save": (
            zipped(**{"archive/data.pkl": pickled}),
            f"is no laser_state but a file of torch.save; {OTHER}",
        ),
        "a text": (b"step: 40\n", f"is no laser_state but a text file; {OTHER}"),
        "a pickle in text": (pickle.dumps(trap, protocol=0), f"is no laser_state but a text file; {OTHER}"),
        "another archive": (zipped(a=b"b"), f"is no laser_state but another kind of file; {OTHER}"),
        "half an archive": (zipped(a=b"b")[:30], f"is no laser_state but another kind of file; {OTHER}"),
        "an array of objects": (objects, f"is no laser_state but another kind of file; {OTHER}"),
        "an older file with objects": (old, OLDER),
        "a right checksum over objects": (
            sealed(own),
            "is damaged: it holds what laser_verl does not write (Object arrays cannot be loaded when "
            f"allow_pickle=False); {REMEDY}",
        ),
    }


@pytest.mark.parametrize("kind", foreign(Trap(Path())))
def test_what_is_something_else_is_named_and_runs_no_code(path: Path, tmp_path: Path, kind: str) -> None:
    trapped = tmp_path / "trapped"
    content, told = foreign(Trap(trapped))[kind]
    assert refusal(path, content) == told
    assert not trapped.exists()
    if kind == "a pickle":  # the trap works
        pickle.loads(content)
        assert trapped.exists()


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        about(b"no JSON"),
        about(b"[]"),
        about(b'{"release": "0", "plain": {}}'),
        about(b'{"release": "0", "plain": {}, "arrays": ["a"]}'),
        about(b'{"release": "0", "plain": {"a": 1, "a/b": 2}, "arrays": []}'),
    ],
)
def test_a_right_checksum_over_what_we_do_not_write_is_damage(path: Path, payload: bytes) -> None:
    told = refusal(path, sealed(payload))
    assert told.startswith("is damaged: it holds what laser_verl does not write (")
    assert told.endswith(REMEDY)


def test_a_path_without_a_file_says_what_is_there(tmp_path: Path) -> None:
    absent = "is not there; give the laser_state of a global_step_ folder that a run with laser_verl has saved"
    assert refusal(tmp_path / "laser_state") == absent
    (tmp_path / "file").write_bytes(b"")
    assert refusal(tmp_path / "file" / "laser_state") == absent
    assert refusal(tmp_path) == "is a folder; give the laser_state in it"


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.EACCES, "cannot be read: Permission denied; let this user read it"),
        (errno.EIO, f"cannot be read: Input/output error; {REMEDY}"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(
    path: Path, whole: bytes, monkeypatch: pytest.MonkeyPatch, number: int, told: str
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(builtins, "open", fail)
        with pytest.raises(ValueError, match="cannot be read") as error:
            load_state(path)
    assert str(error.value) == f"laser_verl: {path} {told}"


def test_a_file_that_this_user_may_not_read_says_so(path: Path, whole: bytes) -> None:
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("no permission keeps this user, who may be root, from reading")
    assert refusal(path) == "cannot be read: Permission denied; let this user read it"

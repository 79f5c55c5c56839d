"""The file ``laser_state``: everything that has to survive a restart, as arrays and plain values, never pickled.

A header of 60 bytes (what it is, format version, length and BLAKE2b of the rest), then numpy arrays one after the
other, each as in a ``.npy`` file. The first holds JSON: the release that wrote it, the plain values, and the names of
the other arrays in their order.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import struct
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from laser_verl import __version__

NAME = "laser_state"
VERSION = 2

_MAGIC = b"laser_verl state"
_HEADER = struct.Struct("<16sIQ32s")
# of the release that wrote a plain .npz
_OLD_ENTRY = "__json__.npy"

_REMEDY = "resume from another global_step folder, or delete this file to keep the weights and start afresh"
_COPY = f"if this is a copy, copy it again; else {_REMEDY}"
# What file systems say that write the entries of a folder through, or cannot be asked to.
_NO_FOLDER_SYNC = (errno.EBADF, errno.EINVAL, errno.ENOTSUP)


@dataclass(frozen=True, eq=False)
class StateFile:
    """What a file holds.

    Attributes:
        version: Of the format.
        release: Of the laser_verl that wrote it.
        state: What was given to `save_state`.
    """

    version: int
    release: str
    state: dict[str, Any]


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write a nested mapping of arrays and plain values in one atomic step.

    Args:
        path: the file; its folder is made if need be. A reader sees the old file or the new one, never half of either.
        state: string keys; values are numpy arrays, mappings, or what JSON carries.

    Raises:
        ValueError: it holds something else.
        OSError: it cannot be written; the message names file, reason and remedy, and what was there stays as it was.
    """
    arrays, plain = pack(state)
    text = json.dumps({"release": __version__, "plain": plain, "arrays": list(arrays)})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            _write(file, [np.frombuffer(text.encode(), dtype=np.uint8), *arrays.values()])
    except OSError as error:
        raise OSError(
            f"laser_verl: {path} cannot be written: {error.strerror or error}; free disk space, let this user write "
            "there, or set another trainer.default_local_dir, and resume: earlier checkpoints are as they were"
        ) from error


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file that takes the place of `path` once all is written and on the disk; of a failure nothing is left.

    Args:
        path: the file; its folder exists.

    Yields:
        The file to write to.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(number)


class _Hashed:
    """Hashes what goes into a file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.hash = file, _hash(VERSION)

    def write(self, data: bytes) -> int:
        self.hash.update(data)
        return self._file.write(data)


def _hash(version: int) -> hashlib.blake2b:
    return hashlib.blake2b(version.to_bytes(4, "little"), digest_size=32)


def _write(file: BinaryIO, arrays: Iterable[np.ndarray]) -> None:
    file.write(bytes(_HEADER.size))
    hashed = _Hashed(file)
    for array in arrays:
        np.save(hashed, array, allow_pickle=False)
    length = file.tell() - _HEADER.size
    file.seek(0)
    file.write(_HEADER.pack(_MAGIC, VERSION, length, hashed.hash.digest()))


def pack(state: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """What a nested mapping is in the file.

    Args:
        state: string keys; values are numpy arrays, mappings, or what JSON carries.

    Returns:
        Arrays by name, ``{"method": {"seen": array}}`` as ``method/seen``; and in the same way all that is no array.

    Raises:
        ValueError: a key or a value that the file cannot hold; the message names it.
    """
    arrays: dict[str, np.ndarray] = {}
    plain: dict[str, Any] = {}
    _flatten(state, (), arrays, plain)
    return arrays, plain


def load_state(path: Path) -> dict[str, Any]:
    """Read what :func:`save_state` wrote.

    Args:
        path: the file.

    Returns:
        The nested mapping.

    Raises:
        ValueError: the file cannot be read, is damaged, of another version or something else; the message says which.
    """
    return read_state(path).state


def read_state(path: Path) -> StateFile:
    """Read a file and what is known of it; raises as :func:`load_state`."""
    try:
        with open(path, "rb") as file:
            return _read(file)
    except OSError as error:
        raise ValueError(f"laser_verl: {path} {_unreadable(error)}") from error
    except ValueError as error:
        raise ValueError(f"laser_verl: {path} {error}") from error


def _unreadable(error: OSError) -> str:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return f"is not there; give the {NAME} of a global_step_ folder that a run with laser_verl has saved"
    if isinstance(error, IsADirectoryError):
        return f"is a folder; give the {NAME} in it"
    remedy = "let this user read it" if isinstance(error, PermissionError) else _REMEDY
    return f"cannot be read: {error.strerror or error}; {remedy}"


def _read(file: BufferedReader) -> StateFile:
    """The sum is checked first: nothing of a file that is not as it was written is looked into."""
    start = file.read(_HEADER.size)
    if not start:
        raise ValueError(f"is empty, as after a crash of the machine; {_REMEDY}")
    if not start.startswith(_MAGIC[: len(start)]):
        raise ValueError(_foreign(start, file))
    if len(start) < _HEADER.size:
        raise ValueError(f"is cut off after {len(start)} bytes; {_COPY}")
    _, version, length, digest = _HEADER.unpack(start)
    is_sound = hashlib.file_digest(file, lambda: _hash(version)).digest() == digest
    size = file.tell() - _HEADER.size
    if not is_sound and size < length:
        raise ValueError(f"is cut off after {file.tell()} of {_HEADER.size + length} bytes; {_COPY}")
    if not is_sound or size != length:
        raise ValueError(f"is damaged: its bytes do not have the checksum that was saved with them; {_COPY}")
    if version != VERSION:
        raise ValueError(_other_version(version))
    file.seek(_HEADER.size)
    try:
        about = json.loads(np.load(file, allow_pickle=False).tobytes())
        arrays = {name: np.load(file, allow_pickle=False) for name in about["arrays"]}
        return StateFile(version, about["release"], _nested(about["plain"] | arrays))
    except Exception as error:  # whatever somebody else has given a right checksum
        raise ValueError(f"is damaged: it holds what laser_verl does not write ({error}); {_REMEDY}") from error


def _other_version(version: int) -> str:
    reads = f"its format is {version}, laser_verl {__version__} reads {VERSION}"
    if version > VERSION:
        return f"was written by a newer laser_verl: {reads}; upgrade laser_verl, or {_REMEDY}"
    return f"was written by an older laser_verl: {reads}; resume with the laser_verl of its run, or {_REMEDY}"


def _foreign(start: bytes, file: BinaryIO) -> str:
    """What is in a file that does not begin as ours do."""
    names: list[str] = []
    with contextlib.suppress(zipfile.BadZipFile), zipfile.ZipFile(file) as archive:
        names = archive.namelist()
    if _OLD_ENTRY in names:
        return _other_version(1)
    kinds = {
        "a file of torch.save": any(name.endswith("data.pkl") for name in names),
        "a pickle": start[0] == 0x80,
        "a text file": start.isascii() and b"\0" not in start,
        "another kind of file": True,
    }
    kind = next(kind for kind, is_it in kinds.items() if is_it)
    return f"is no {NAME} but {kind}; give another file, or resume from another global_step folder"


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    state: dict[str, Any] = {}
    for name, value in flat.items():
        node = state
        *parents, last = name.split("/")
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    return state


def _flatten(
    node: Mapping[str, Any], parents: tuple[str, ...], arrays: dict[str, np.ndarray], plain: dict[str, Any]
) -> None:
    for key, value in node.items():
        if not isinstance(key, str) or "/" in key:
            place = f" in {'.'.join(parents)}" if parents else ""
            better = str(key).replace("/", ".")
            raise ValueError(f"state key {key!r}{place} must be a text without a slash; rename it, e.g. {better!r}")
        name = "/".join((*parents, key))
        if isinstance(value, Mapping) and value:
            _flatten(value, (*parents, key), arrays, plain)
        elif isinstance(value, np.ndarray):
            _check_array(name, value)
            arrays[name] = value
        else:
            _check_plain(name, value)
            plain[name] = value


def _check_array(name: str, value: np.ndarray) -> None:
    if value.dtype.hasobject:
        raise ValueError(
            f"state entry {name.replace('/', '.')} is an array of {value.dtype}; give one of numbers or texts, e.g. "
            "np.array(values, dtype=np.str_)"
        )


def _check_plain(name: str, value: Any) -> None:
    try:
        json.dumps(value)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"state entry {name.replace('/', '.')}={value!r:.60} must be a numpy array or what JSON carries ({error}); "
            "give int(x), float(x), list(x) or np.asarray(x)"
        ) from error

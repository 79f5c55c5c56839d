"""A save that fails: the file before it stays whole, nothing else is left, and the error says what to do."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from laser_verl.core import state as state_file
from laser_verl.core.state import load_state, save_state

GOOD = {"step": 1, "method": {"seen": np.arange(5)}}
# Longer than what is kept back before it is written.
LARGE = {"step": 2, "method": {"seen": np.arange(50_000)}}
TOLD = (
    "laser_verl: {path} cannot be written: {reason}; free disk space, let this user write there, or set another "
    "trainer.default_local_dir, and resume: earlier checkpoints are as they were"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A good state that a save may not harm."""
    path = tmp_path / "global_step_1" / "laser_state"
    save_state(path, GOOD)
    return path


def check_untouched(path: Path) -> None:
    assert [entry.name for entry in path.parent.iterdir()] == ["laser_state"]
    loaded = load_state(path)
    assert loaded["method"].pop("seen").tolist() == [0, 1, 2, 3, 4]
    assert loaded == {"step": 1, "method": {}}


def failing(number: int) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("name", ["fsync", "replace"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_failure_before_the_file_is_in_place_leaves_the_one_before(
    path: Path, monkeypatch: pytest.MonkeyPatch, name: str, number: int
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(state_file.os, name, failing(number))
        with pytest.raises(OSError, match="cannot be written") as error:
            save_state(path, LARGE)
    assert str(error.value) == TOLD.format(path=path, reason=os.strerror(number))
    check_untouched(path)
    save_state(path, LARGE)
    assert load_state(path)["step"] == 2


def test_a_first_save_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_file.os, "fsync", failing(errno.ENOSPC))
    with pytest.raises(OSError, match="No space left on device"):
        save_state(tmp_path / "laser_state", GOOD)
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_leaves_the_one_before(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(file: Any, *_: Any, **__: Any) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(state_file.np, "save", interrupt)
        with pytest.raises(KeyboardInterrupt):
            save_state(path, LARGE)
    check_untouched(path)


FAIL_AT_EVERY_LIMIT = """
import resource, sys
from pathlib import Path
import numpy as np
from laser_verl.core.state import load_state, save_state

path = Path(sys.argv[1])
before = path.read_bytes()
large = {"method": {"seen": np.arange(50_000)}}
size = 400_000
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
for limit in (0, 1, 59, 60, 61, 500, 8192, 100_000, size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        save_state(path, large)
    except OSError as error:
        message = str(error)
    else:
        sys.exit(f"a file of more than {limit} bytes was written")
    assert message.startswith(f"laser_verl: {path} cannot be written: File too large; free disk space"), message
    assert [entry.name for entry in path.parent.iterdir()] == [path.name], limit
    assert path.read_bytes() == before, limit
    load_state(path)
resource.setrlimit(resource.RLIMIT_FSIZE, (2 * size, hard))
save_state(path, large)
assert len(load_state(path)["method"]["seen"]) == 50_000
"""


def test_a_write_that_fails_at_any_place_leaves_the_one_before(path: Path) -> None:
    command = [sys.executable, "-c", FAIL_AT_EVERY_LIMIT, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from laser_verl.core import state

state.os.fsync = lambda number: os.kill(os.getpid(), signal.SIGKILL)
state.save_state(Path(sys.argv[1]), {"step": 2, "method": {"seen": np.arange(50_000)}})
"""


def test_what_a_killed_process_leaves_is_not_taken_for_the_state_and_goes_with_the_next_save(path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], capture_output=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    assert {entry.name for entry in path.parent.iterdir()} == {"laser_state", "laser_state.tmp"}
    assert load_state(path)["step"] == 1
    save_state(path, GOOD)
    check_untouched(path)


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, with 128 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except OSError as error:
        pytest.skip(f"no disk can be mounted: {error}")
    if done.returncode:
        pytest.skip(f"this user may not mount a disk: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], timeout=60, check=True)


def test_a_full_disk_leaves_the_one_before(full_disk: Path) -> None:
    path = full_disk / "laser_state"
    save_state(path, GOOD)
    with pytest.raises(OSError, match="No space left on device") as error:
        save_state(path, LARGE)
    assert str(error.value) == TOLD.format(path=path, reason="No space left on device")
    check_untouched(path)
    save_state(path, GOOD)


def test_a_folder_that_may_not_be_written_to_keeps_its_state(path: Path) -> None:
    path.parent.chmod(0o500)
    try:
        if os.access(path.parent, os.W_OK):
            pytest.skip("no permission keeps this user, who may be root, from writing")
        with pytest.raises(OSError, match="cannot be written") as error:
            save_state(path, LARGE)
    finally:
        path.parent.chmod(0o700)
    assert str(error.value) == TOLD.format(path=path, reason="Permission denied")
    check_untouched(path)


@pytest.mark.parametrize(("below", "reason"), [("laser_state", "File exists"), ("a/laser_state", "Not a directory")])
def test_a_folder_that_cannot_be_is_told(tmp_path: Path, below: str, reason: str) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    path = tmp_path / "file" / below
    with pytest.raises(OSError, match=re.escape(TOLD.format(path=path, reason=reason))):
        save_state(path, GOOD)
    assert (tmp_path / "file").read_bytes() == b"mine"


@pytest.mark.parametrize(("number", "is_told"), [(errno.EINVAL, False), (errno.ENOTSUP, False), (errno.EIO, True)])
def test_the_entry_in_the_folder_is_written_through_where_that_can_be_asked(
    path: Path, monkeypatch: pytest.MonkeyPatch, number: int, is_told: bool
) -> None:
    real, asked = os.fsync, []

    def fsync(descriptor: int) -> None:
        name = os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}"))
        asked.append(name)
        if name == "global_step_1":
            # the file is in place by now
            assert load_state(path)["step"] == 2
            raise OSError(number, os.strerror(number))
        real(descriptor)

    monkeypatch.setattr(state_file.os, "fsync", fsync)
    if is_told:
        with pytest.raises(OSError, match="Input/output error"):
            save_state(path, LARGE)
    else:
        save_state(path, LARGE)
    assert asked == ["laser_state.tmp", "global_step_1"]
    assert [entry.name for entry in path.parent.iterdir()] == ["laser_state"]


MEMORY = """
import resource, sys
from pathlib import Path
import numpy as np
from laser_verl.core.state import load_state, save_state

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

path = Path(sys.argv[1])
if sys.argv[2] == "save":
    # every other number of an array: what is written has to be gathered
    arrays = {str(number): np.ones(2 * 2**20)[::2] for number in range(12)}
    before = peak()
    save_state(path, {"tracker": arrays})
else:
    before = peak()
    arrays = load_state(path)["tracker"]
print(peak() - before, sum(array.nbytes for array in arrays.values()))
"""


def test_a_save_copies_little_at_a_time_and_a_load_nothing(tmp_path: Path) -> None:
    size, little = 12 * 8 * 2**20, 40 * 2**20
    for job, allowed in (("save", little), ("load", size + little)):
        command = [sys.executable, "-c", MEMORY, str(tmp_path / "laser_state"), job]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        used, nbytes = map(int, done.stdout.split())
        assert nbytes == size
        assert used < allowed, job

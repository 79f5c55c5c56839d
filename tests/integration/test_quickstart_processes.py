import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from laser_verl.quickstart.processes import ProcessTree

pytestmark = pytest.mark.integration

# Starts a child in a session of its own that ignores polite signals, and a grandchild whose parent ends at once.
PARENT = """
import subprocess, sys, time
stubborn = "import signal as s, time; s.signal(s.SIGTERM, s.SIG_IGN); print('up', flush=True); time.sleep(600)"
orphan = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])"
child = subprocess.Popen([sys.executable, "-c", stubborn], start_new_session=True, stdout=subprocess.PIPE)
child.stdout.readline()
subprocess.run([sys.executable, "-c", orphan])
print("ready", flush=True)
time.sleep(600)
"""


def wait_for(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_ending_a_command_ends_all_that_it_started(tmp_path):
    log = tmp_path / "log"
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    tree = ProcessTree([sys.executable, "-c", PARENT], {}, log, tmp_path)
    try:
        wait_for(lambda: "ready" in log.read_text())
        processes = tree.alive()
        # the command, the stubborn child, the orphan
        assert len(processes) == 3
        tree.end(grace_seconds=2.0)
        assert not [process for process in processes if psutil.pid_exists(process.pid) and _runs(process)]
        assert tree.poll() == -signal.SIGTERM
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
        tree.end(grace_seconds=0.0)


def _runs(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_what_a_command_leaves_behind_is_ended_after_it(tmp_path):
    daemon = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])"
    tree = ProcessTree([sys.executable, "-c", daemon], {}, tmp_path / "log", tmp_path)
    wait_for(lambda: tree.poll() is not None)
    # It was never seen below its parent, only its environment tells.
    left = tree.alive()
    assert len(left) == 1
    tree.end()
    assert not _runs(left[0])


def test_the_command_gets_its_variables_and_folder(tmp_path):
    words = [sys.executable, "-c", "import os; print(os.environ['LASER_TEST'], os.getcwd())"]
    tree = ProcessTree(words, {"LASER_TEST": "here"}, tmp_path / "log", tmp_path)
    wait_for(lambda: tree.poll() is not None)
    assert (tmp_path / "log").read_text().split() == ["here", os.path.realpath(tmp_path)]


@pytest.mark.parametrize("code", [0, 3])
def test_the_exit_code_is_the_command_s(tmp_path, code):
    tree = ProcessTree([sys.executable, "-c", f"raise SystemExit({code})"], {}, tmp_path / "log", tmp_path)
    wait_for(lambda: tree.poll() is not None)
    assert tree.poll() == code

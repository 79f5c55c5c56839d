"""`examples/slurm` and `examples/ray`, with programs in the place of Slurm's and Ray's."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SBATCH = EXAMPLES / "slurm" / "train.sbatch"
SUBMIT = EXAMPLES / "ray" / "submit.sh"

# Each notes how it was called. `srun` is one task on this machine, whatever the nodes.
SRUN = """#!/bin/bash
printf '%s\\n' "srun $*" >> calls
while [[ $1 == --* ]]; do shift; done
exec "$@"
"""
SCONTROL = """#!/bin/bash
printf '%s\\n' "scontrol $*" >> calls
if [[ $1 == show ]]; then printf '%s\\n' n1 n2; fi
"""
# Ray's head listens until it is told to end, and its workers wait.
RAY = f"""#!{sys.executable}
import os, signal, socket, sys, time
def note(text):
    with open("calls", "a") as file:
        file.write(text + "\\n")
def end(*_):
    note("ended head" if "--head" in sys.argv else "ended worker")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
note("ray " + " ".join(sys.argv[1:]) + " token=" + os.environ["RAY_AUTH_TOKEN"])
if "--head" in sys.argv:
    server = socket.create_server(("127.0.0.1", int(sys.argv[4].partition("=")[2])))
time.sleep(60)
"""
# Says the address of the head, or waits until Ray is there on both nodes.
PYTHON = """#!/bin/bash
if [[ $2 == *get_node_ip_address* ]]; then echo 127.0.0.1; exit; fi
until [[ $(grep -c '^ray start' calls) == "$3" ]]; do sleep 0.05; done
"""
TRAINING = """#!/bin/bash
echo "training $* at $RAY_ADDRESS on $HARDWARE" >> calls
trap 'echo "ended training" >> calls; kill $!; exit 0' TERM
if [[ $1 == sleep ]]; then sleep 60 & wait; fi
exit "$1"
"""


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    texts = {"srun": SRUN, "scontrol": SCONTROL, "ray": RAY, "python3": PYTHON, "training": TRAINING}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return tmp_path


def variables(folder: Path, **more: str) -> dict[str, str]:
    return {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "SLURM_JOB_ID": "17",
        "SLURM_JOB_NODELIST": "n[1-2]",
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_CPUS_ON_NODE": "96",
        "RAY_PORT": str(free_port()),
        **more,
    }


def start(folder: Path, *words: str, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["bash", str(SBATCH), *words],
        env=variables(folder, **more),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def calls(folder: Path) -> list[str]:
    file = folder / "calls"
    return file.read_text().splitlines() if file.exists() else []


def wait_for(folder: Path, text: str) -> None:
    deadline = time.monotonic() + 20
    while not any(line.startswith(text) for line in calls(folder)):
        assert time.monotonic() < deadline, calls(folder)
        time.sleep(0.05)


def test_slurm_starts_ray_on_all_nodes_and_the_training_on_the_first(folder: Path) -> None:
    job = start(folder, str(folder / "training"), "0", GPUS_PER_NODE="8")
    output, _ = job.communicate(timeout=30)
    assert job.returncode == 0, output
    made = calls(folder)
    (head,) = [line for line in made if line.startswith("ray start --head")]
    (worker,) = [line for line in made if line.startswith("ray start --address=127.0.0.1:")]
    for line in (head, worker):
        assert "--num-gpus=8 --num-cpus=96" in line
    # one secret of this job
    assert head.partition("token=")[2] == worker.partition("token=")[2] != ""
    (training,) = [line for line in made if line.startswith("training ")]
    port = head.partition("--port=")[2].split()[0]
    assert training == f"training 0 at 127.0.0.1:{port} on 2x8"
    where = [line.partition("--nodelist=")[2].split()[0] for line in made if line.startswith("srun ")]
    assert sorted(where) == ["n1", "n1", "n1", "n1", "n2"]
    assert made[-2:] == ["ended worker", "ended head"]


def test_a_training_that_fails_fails_the_job(folder: Path) -> None:
    job = start(folder, str(folder / "training"), "3")
    job.communicate(timeout=30)
    assert job.returncode == 3
    assert not any(line.startswith("scontrol requeue") for line in calls(folder))


def test_at_the_end_of_its_time_the_job_is_stopped_and_queued_again(folder: Path) -> None:
    job = start(folder, str(folder / "training"), "sleep")
    try:
        wait_for(folder, "training sleep")
        job.send_signal(signal.SIGUSR1)
        output, _ = job.communicate(timeout=30)
    finally:
        job.kill()
    assert "goes on from its latest checkpoint" in output
    # the training ends before the cluster it runs on
    assert calls(folder)[-4:] == ["ended training", "ended worker", "ended head", "scontrol requeue 17"]


def test_a_job_that_is_cancelled_is_stopped_and_not_queued_again(folder: Path) -> None:
    job = start(folder, str(folder / "training"), "sleep")
    try:
        wait_for(folder, "training sleep")
        job.terminate()
        job.communicate(timeout=30)
    finally:
        job.kill()
    assert job.returncode == 143
    assert calls(folder)[-3:] == ["ended training", "ended worker", "ended head"]


def test_slurm_knobs_reach_the_nodes(folder: Path) -> None:
    job = start(
        folder,
        str(folder / "training"),
        "0",
        SETUP="echo set up >> calls",
        CONTAINER_IMAGE="/images/verl.sqsh",
        CONTAINER_MOUNTS="/shared:/shared",
        HARDWARE="1x8",
    )
    output, _ = job.communicate(timeout=30)
    assert job.returncode == 0, output
    made = calls(folder)
    steps = [line for line in made if line.startswith("srun ")]
    # the launcher's path is one from here, and Ray's processes on a node meet in /tmp
    here = f"--container-workdir={folder} --container-mounts=/tmp:/tmp,{folder}:{folder},/shared:/shared"
    assert all(f"--container-image=/images/verl.sqsh {here} " in step for step in steps)
    assert made.count("set up") == len(steps) == 5
    assert any(line.startswith("training ") and line.endswith(" on 1x8") for line in made)


@pytest.mark.parametrize(
    ("words", "more", "message"),
    [([], {}, "name a launcher after the script"), (["x"], {"SLURM_JOB_ID": ""}, "start it with sbatch")],
)
def test_slurm_says_what_is_missing(folder: Path, words: list[str], more: dict[str, str], message: str) -> None:
    output, _ = (job := start(folder, *words, **more)).communicate(timeout=30)
    assert (job.returncode, message in output) == (2, True)


@pytest.mark.parametrize("script", [SBATCH, SUBMIT], ids=lambda path: path.name)
def test_help_is_one_page(folder: Path, script: Path) -> None:
    done = subprocess.run(["bash", str(script), "-h"], capture_output=True, text=True, cwd=folder, check=True)
    lines = done.stdout.splitlines()
    assert 10 < len(lines) <= 40
    assert max(map(len, lines)) <= 120
    assert not any(line.startswith("#") for line in lines)


# A stand-in for `ray job submit` that keeps what would be sent.
SUBMITTED = """#!/bin/bash
printf '%s\\n' "$@" > submitted
cp -r "$6" sent
"""


def submit(folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    (folder / "ray").write_text(SUBMITTED)
    return subprocess.run(
        ["bash", str(SUBMIT), *words],
        env={"PATH": f"{folder}:{os.environ['PATH']}", "OUT": "/shared/run 1", **more},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=30,
    )


def runtime_env(folder: Path) -> dict[str, Any]:
    words = (folder / "submitted").read_text().splitlines()
    return dict(json.loads(words[words.index("--runtime-env-json") + 1]))


LAUNCHER = str(EXAMPLES / "run_laser_d_7b_megatron.sh")


def test_a_submitted_job_has_this_clone_and_the_knobs(folder: Path) -> None:
    arguments = ("trainer.logger=[console, 'file']", "~critic")
    done = submit(folder, LAUNCHER, *arguments, RAY_ADDRESS="http://head:8265", METHOD="kimi", TRAIN_FILES="a b")
    assert done.returncode == 0, done.stderr
    words = (folder / "submitted").read_text().splitlines()
    assert words[:4] == ["job", "submit", "--address", "http://head:8265"]
    assert words[-3:] == ["--", "bash", "entrypoint.sh"]
    assert runtime_env(folder) == {"env_vars": {"VERL_USE_EXTERNAL_MODULES": "laser_verl.verl_ext.register"}}
    sent = folder / "sent"
    assert {path.name for path in sent.iterdir()} == {"configs", "entrypoint.sh", "examples", "laser_verl"}
    assert (sent / "laser_verl" / "verl_ext" / "register.py").is_file()
    lines = [shlex.split(line) for line in (sent / "entrypoint.sh").read_text().splitlines()]
    assert lines == [
        ["export", "TRAIN_FILES=a b"],
        ["export", "METHOD=kimi"],
        ["export", "OUT=/shared/run 1"],
        ["exec", "bash", "examples/run_laser_d_7b_megatron.sh", *arguments],
    ]


def test_a_submitted_job_can_have_the_plugin_installed_instead(folder: Path) -> None:
    done = submit(folder, LAUNCHER, RAY_ADDRESS="http://head:8265", PLUGIN="git+file:///repository@v1")
    assert done.returncode == 0, done.stderr
    assert runtime_env(folder)["pip"] == ["git+file:///repository@v1"]
    assert not (folder / "sent" / "laser_verl").exists()


def test_a_dry_run_submits_nothing(folder: Path) -> None:
    done = submit(folder, LAUNCHER, DRY_RUN="1", METHOD="kimi")
    assert done.returncode == 0
    assert "export METHOD=kimi\n" in done.stdout
    assert "VERL_USE_EXTERNAL_MODULES" in done.stdout
    assert not (folder / "submitted").exists()


@pytest.mark.parametrize(
    ("words", "more", "message"),
    [
        ([], {}, "name a launcher"),
        (["examples/run_laser.sh"], {}, "examples/run_laser.sh is no file"),
        ([shutil.which("ls") or "/bin/ls"], {}, "is not in"),
        ([LAUNCHER], {"OUT": "runs"}, "OUT=runs; give the absolute path"),
        ([LAUNCHER], {}, "RAY_ADDRESS is not set"),
    ],
)
def test_submission_says_what_is_missing(folder: Path, words: list[str], more: dict[str, str], message: str) -> None:
    done = submit(folder, *words, **more)
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr

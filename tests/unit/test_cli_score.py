"""`laser-verl score`: verdicts in the order of the lines, bad lines, and a program that ends with all it started."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from typer.testing import CliRunner

from laser_verl.cli import app
from laser_verl.commands import score as command

KEYS = ["correct", "well_formed", "status", "extracted", "milliseconds"]

# Needs math-verify: no fast layer knows functions.
SYMBOLIC = {"response": r"<think>a</think> \boxed{\cos(x) + \sin(x)}", "gold": r"$\sin(x) + \cos(x)$"}


def thought(answer: str) -> str:
    return rf"<think>a</think> \boxed{{{answer}}}"


def write(path: Path, lines: list[Any]) -> str:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return str(path)


def score(*arguments: str, stdin: str | bytes | None = None) -> Any:
    return CliRunner().invoke(app, ["score", *arguments], input=stdin)


def scored(path: str, *arguments: str) -> list[dict[str, Any]]:
    result = score("--input", path, *arguments)
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_every_line_gets_exactly_the_five_keys_in_order(tmp_path: Path) -> None:
    # the first takes longest, since it has to wait for a worker process to start
    lines = [
        SYMBOLIC,
        {"response": thought("7"), "gold": "7"},
        {"response": thought("8"), "gold": 7},
        {"response": r"\boxed{7}", "gold": ["6", 7]},
        {"response": "<think>a</think> 7", "gold": "7", "id": 5},
    ]
    result = score("--input", write(tmp_path / "in.jsonl", lines))
    verdicts = [json.loads(line) for line in result.stdout.splitlines()]
    assert all(list(verdict) == KEYS for verdict in verdicts)
    assert [[verdict[key] for key in KEYS[:4]] for verdict in verdicts] == [
        [True, True, "equal", r"\cos(x) + \sin(x)"],
        [True, True, "equal", "7"],
        [False, True, "different", "8"],
        [True, False, "equal", "7"],
        [False, False, "unparseable", None],
    ]
    assert all(verdict["milliseconds"] >= 0 for verdict in verdicts)
    assert verdicts[0]["milliseconds"] > verdicts[1]["milliseconds"]
    summary = r"laser_verl: 5 responses in \d+\.\d s: equal 3, different 1, timeout 0, unparseable 1, error 0\n"
    assert re.fullmatch(summary, result.stderr)


def test_a_limit_too_short_for_math_verify_is_a_timeout(tmp_path: Path) -> None:
    [verdict] = scored(write(tmp_path / "in.jsonl", [SYMBOLIC]), "--timeout", "0.0001")
    assert (verdict["correct"], verdict["well_formed"], verdict["status"]) == (False, True, "timeout")


@pytest.mark.parametrize(
    ("thinking", "response", "well_formed", "extracted"),
    [
        ("deepseek", r"\boxed{7}", False, "7"),
        ("boxed", r"\boxed{7}", True, "7"),
        ("answer_tag", "<think>a</think> <answer>7</answer>", True, "7"),
        ("answer_tag", r"<think>a</think> \boxed{7}", False, None),
    ],
)
def test_the_format_is_chosen(
    tmp_path: Path, thinking: str, response: str, well_formed: bool, extracted: str | None
) -> None:
    path = write(tmp_path / "in.jsonl", [{"response": response, "gold": "7"}])
    [verdict] = scored(path, "--thinking", thinking)
    assert (verdict["well_formed"], verdict["extracted"]) == (well_formed, extracted)


@pytest.mark.parametrize(
    ("prompt", "well_formed"),
    [("Q <think>", True), ("Q <think>\n \t", True), ("Q", False), ("<think> Q", False), ("", False), (None, False)],
)
def test_a_prompt_that_ends_with_the_opening_tag_supplies_it(
    tmp_path: Path, prompt: str | None, well_formed: bool
) -> None:
    line = {"response": r"a</think> \boxed{7}", "gold": "7", "prompt": prompt}
    [verdict] = scored(write(tmp_path / "in.jsonl", [line]))
    assert (verdict["correct"], verdict["well_formed"]) == (True, well_formed)


@pytest.mark.parametrize("text", ["\ud800", "\udfff\ud800", "\x00", "\u202e7", "7\u20288", "\U0001f600", "7\r8"])
def test_any_text_goes_in_and_comes_out(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "in.jsonl", [{"response": thought(text), "gold": "7"}] * 2)
    result = score("--input", path)
    assert result.stdout.isascii()
    # split by hand: `splitlines` knows more ends of lines than JSONL does
    first, second, rest = result.stdout.split("\n")
    assert json.loads(first)["extracted"] == json.loads(second)["extracted"] == text
    assert rest == ""


def test_standard_input_is_read_and_blank_lines_are_skipped() -> None:
    line = json.dumps({"response": thought("7"), "gold": "7"})
    result = score("--input", "-", stdin=f"\n{line}\n \n\n{line}")
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 2)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "not a line of JSON"),
        ("7", "must be a JSON object like {response, gold}, not a number"),
        ('{"response": "a", "gold": NaN}', "NaN is not a finite number"),
        ('{"response": "a", "gold": 7, "gold": 8}', "'gold' is given twice"),
        ({"gold": 7}, "'response' is missing"),
        ({"responses": "a", "gold": 7}, "'response' is missing; did you mean it by 'responses'?"),
        ({"response": "a"}, "'gold' is missing"),
        ({"response": "a", "gold": 7, "prompts": "b"}, "unknown key 'prompts'; did you mean 'prompt'?"),
        ({"response": ["a"], "gold": 7}, "response must be a text, not a list"),
        ({"response": None, "gold": 7}, "response must be a text, not null"),
        ({"response": "a", "gold": 7, "prompt": [{"role": "user"}]}, "prompt must be a text"),
        ({"response": "a", "gold": None}, "gold=None is no answer; give a text"),
        ({"response": "a", "gold": " "}, "gold=' ' is no answer"),
        ({"response": "a", "gold": []}, "gold=[] is no answer"),
        ({"response": "a", "gold": ["7", ""]}, "gold=['7', ''] is no answer"),
        ({"response": "a", "gold": True}, "gold=True is no answer"),
        ({"response": "a", "gold": {"value": 7}}, "is no answer"),
        ('{"response": "a", "gold": ' + "[" * 100_000, "not a line of JSON"),
    ],
)
def test_a_bad_line_ends_it_with_what_came_before_printed(tmp_path: Path, line: Any, words: str) -> None:
    good = {"response": thought("7"), "gold": "7"}
    path = write(tmp_path / "in.jsonl", [good, good, line, good])
    result = score("--input", path)
    assert (result.exit_code, len(result.stdout.splitlines())) == (1, 2)
    assert result.stderr.startswith(f"laser_verl: {path}:3: ")
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_bad_line_waits_for_slow_ones_before_it(tmp_path: Path) -> None:
    result = score("--input", write(tmp_path / "in.jsonl", [SYMBOLIC, {"response": "a"}, "{"]))
    assert result.exit_code == 1
    assert json.loads(result.stdout)["status"] == "equal"
    assert "in.jsonl:2: 'gold' is missing" in result.stderr


def test_bytes_that_are_no_text_are_a_bad_line(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(b'{"response": "\xff", "gold": 7}\n')
    result = score("--input", str(tmp_path / "in.jsonl"))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "in.jsonl:1: not a line of JSON" in result.stderr


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_a_file_without_a_response_is_bad(tmp_path: Path, content: str) -> None:
    (tmp_path / "in.jsonl").write_text(content)
    result = score("--input", str(tmp_path / "in.jsonl"))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "holds no response; give JSONL" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--input"),
        (["--input", "no_such_file.jsonl"], "--input no_such_file.jsonl does not exist"),
        (["--input", "."], "--input . is a folder; give a file of {response, gold} lines"),
        (["--input", "-", "--thinking", "deepsek"], "--thinking: thinking='deepsek' is unknown"),
        (["--input", "-", "--timeout", "0"], "--timeout: timeout_seconds=0"),
        (["--input", "-", "--timeout", "nan"], "--timeout: timeout_seconds=nan"),
        (["--input", "-", "--timeout", "soon"], "--timeout"),
        (["--input", "-", "extra"], "extra"),
    ],
)
def test_wrong_usage(arguments: list[str], words: str) -> None:
    result = score(*arguments, stdin=json.dumps({"response": "a", "gold": 7}))
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr


def test_reading_waits_for_writing_so_that_memory_is_bounded(tmp_path: Path) -> None:
    pipe = tmp_path / "in.jsonl"
    os.mkfifo(pipe)
    num_lines, num_sent, gate = 1000, 0, threading.Event()
    # 8 lines and a bit fill the pipe and the reader's buffer
    lines = [json.dumps({"response": "a" * 8000 + thought(str(index)), "gold": "7"}) + "\n" for index in range(1000)]

    def send() -> None:
        nonlocal num_sent
        with pipe.open("w") as file:
            for line in lines:
                file.write(line)
                num_sent += 1

    seen: list[str] = []

    def write(verdict: dict[str, Any]) -> None:
        gate.wait()
        seen.append(verdict["extracted"])

    sender = threading.Thread(target=send)
    runner = threading.Thread(target=lambda: command.run(str(pipe), "boxed", 5.0, write))
    sender.start()
    runner.start()
    before = -1
    while num_sent != before:
        before = num_sent
        time.sleep(0.5)
    assert 256 <= num_sent < 290
    gate.set()
    sender.join()
    runner.join()
    assert seen == [str(index) for index in range(num_lines)]


@contextmanager
def program(*arguments: str, **more: Any) -> Iterator[subprocess.Popen[str]]:
    """The command as a program of its own, which reads standard input and hears Ctrl-C even below a background job."""
    call = [sys.executable, "-m", "laser_verl", "score", "--input", "-", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        call, stdin=pipe, stdout=pipe, stderr=pipe, text=True, preexec_fn=_hear_ctrl_c, **more
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _hear_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def ask(process: subprocess.Popen[str], line: Any) -> dict[str, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(line) + "\n")
    process.stdin.flush()
    verdict: dict[str, Any] = json.loads(process.stdout.readline())
    return verdict


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def ended(process: subprocess.Popen[str], workers: list[psutil.Process]) -> str:
    """Standard error of a program that ends within seconds and leaves no worker behind."""
    process.wait(20)
    assert process.stderr is not None
    _, alive = psutil.wait_procs(workers, timeout=5)
    assert not alive
    return process.stderr.read()


def test_each_verdict_comes_before_the_next_line_is_sent() -> None:
    with program() as process:
        assert [ask(process, line)["status"] for line in [SYMBOLIC, SYMBOLIC]] == ["equal", "equal"]
        assert process.stdin is not None
        workers = workers_of(process)
        assert workers
        process.stdin.close()
        assert "2 responses" in ended(process, workers)
        assert process.returncode == 0


def test_ctrl_c_while_it_waits_for_input_leaves_nothing_behind() -> None:
    with program() as process:
        ask(process, SYMBOLIC)
        workers = workers_of(process)
        assert workers
        process.send_signal(signal.SIGINT)
        assert "Traceback" not in ended(process, workers)
        assert process.returncode != 0


def test_ctrl_c_while_it_is_busy_leaves_nothing_behind() -> None:
    with program() as process:
        ask(process, SYMBOLIC)
        assert process.stdin is not None
        for number in range(500):  # no two alike, for the cache
            line = {"response": thought(rf"\cos({number}x) + \sin(x)"), "gold": rf"$\sin(x) + \cos({number}x)$"}
            process.stdin.write(json.dumps(line) + "\n")
        process.stdin.flush()
        workers = workers_of(process)
        process.send_signal(signal.SIGINT)
        assert "Traceback" not in ended(process, workers)
        assert process.returncode != 0


def test_a_reader_that_goes_away_ends_it_and_its_workers() -> None:
    with program() as process:
        ask(process, SYMBOLIC)
        workers = workers_of(process)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.close()
        with pytest.raises(BrokenPipeError):
            process.stdin.writelines([json.dumps({"response": "a" * 1000, "gold": "7"}) + "\n"] * 100_000)
        assert "Traceback" not in ended(process, workers)
        assert process.returncode == 141
        process.stdin = None  # what it still holds can no longer be sent


def test_a_format_of_an_installed_package(tmp_path: Path) -> None:
    (tmp_path / "my_formats.py").write_text(
        "from laser_verl.scoring.formats import Parsed\n"
        "def last_line(response, prompt_opens_think):\n"
        "    if 'crash' in response:\n"
        "        raise KeyError('crash')\n"
        "    return Parsed(True, response.splitlines()[-1])\n"
    )
    about = tmp_path / "my_formats-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: my-formats\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[laser_verl.formats]\nlast_line = my_formats:last_line\n")
    with program("--thinking", "last_line", env=os.environ | {"PYTHONPATH": str(tmp_path)}) as process:
        verdict = ask(process, {"response": "so\n0.5", "gold": "1/2"})
        assert (verdict["correct"], verdict["extracted"]) == (True, "0.5")
        out, err = process.communicate(json.dumps({"response": "crash", "gold": 7}) + "\n", timeout=20)
    assert (process.returncode, out) == (1, "")
    assert err.startswith("laser_verl: standard input:2: thinking='last_line': my-formats (entry point last_line")
    assert "raised KeyError: 'crash'" in err

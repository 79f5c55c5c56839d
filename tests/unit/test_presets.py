"""The presets as files: options complete, papers' numbers consistent; and `laser-verl presets`."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from laser_verl import presets as module
from laser_verl.cli import app
from laser_verl.core import Context, build, describe, method_names
from laser_verl.core.policies.base import policy_names
from laser_verl.presets import AVERAGE, GROUPS, Published, comment, folder, presets, published

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIGS = REPOSITORY / "configs"
SCRIPT = runpy.run_path(str(REPOSITORY / "docs" / "make_presets.py"))
CONTEXT = Context(max_response_length=16_384)
ANEW = "run: python docs/make_presets.py"
TRAINED = {name: of for name, of in published().items() if not name.startswith("original")}


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["presets", *arguments])
    return done.exit_code, done.stdout, done.stderr


def test_generated_presets_and_the_page_are_up_to_date() -> None:
    for path, text in SCRIPT["files"]():
        assert path.read_text(encoding="utf-8") == text, f"{path}: {ANEW}"
    text = SCRIPT["PAGE"].read_text(encoding="utf-8")
    assert SCRIPT["page"](text) == text, ANEW


def test_there_is_a_preset_for_every_method_and_every_policy() -> None:
    assert [preset.name for preset in presets("method")] == method_names()
    assert [preset.name for preset in presets("sampler")] == policy_names()


@pytest.mark.parametrize("name", method_names())
def test_a_method_has_all_its_options_with_a_comment_above_each(name: str) -> None:
    text = (CONFIGS / "method" / f"{name}.yaml").read_text(encoding="utf-8")
    given = yaml.safe_load(text)["reward"]
    info = describe(name)
    assert given["reward_manager"] == {"name": name}
    set_by_preset = re.findall(r"^    # (\w+): ", text, re.MULTILINE)
    assert sorted([*given["reward_kwargs"], *set_by_preset]) == sorted(info.options)
    lines = text.splitlines()
    for option in info.options:
        place = next(i for i, line in enumerate(lines) if re.match(rf"    (# )?{option}: ", line))
        assert lines[place - 1].startswith("    # "), option
    left_open = [option for option, value in given["reward_kwargs"].items() if value == "???"]
    assert left_open == (["per_data_source"] if name == "mixed" else [])
    if not left_open:
        # every value is one that the method takes, and nothing but what it requires is other than its default
        build(name, given["reward_kwargs"], CONTEXT)
        changed = {key for key, value in given["reward_kwargs"].items() if value != info.options[key]}
        assert changed == set(info.required)


def test_what_a_preset_of_several_options_sets_is_not_given_beside_it() -> None:
    text = (CONFIGS / "method" / "laser_de.yaml").read_text(encoding="utf-8")
    assert re.findall(r"^    # (\w+): ", text, re.MULTILINE) == ["rounding", "explore"]
    options = yaml.safe_load(text)["reward"]["reward_kwargs"]
    assert build("laser_de", {**options, "preset": "released_code"}, CONTEXT).rounding == "floor"


def test_every_paper_preset_says_what_its_paper_says() -> None:
    assert [preset.name for preset in presets("paper")] == list(TRAINED)
    for name, of in TRAINED.items():
        assert comment("paper", name).startswith(of.sentence()), name
        assert of.note is None or of.note.partition(" ")[2] in comment("paper", name)


def test_averages_are_those_of_the_four_benchmarks_but_for_three_slips_of_the_paper() -> None:
    slips = set()
    for name, of in published().items():
        if of.table is None:
            continue
        for numbers, by in ((of.accuracy, 0.06), (of.tokens, 1.0)):
            parts = [value for key, value in numbers.items() if key != AVERAGE]
            assert len(parts) == 4
            if abs(sum(parts) / 4 - numbers[AVERAGE]) > by:
                slips.add((name, "accuracy" if numbers is of.accuracy else "tokens"))
    assert slips == {("laser_1.5b_2048", "tokens"), ("laser_d_1.5b_1024", "tokens"), ("laser_d_1.5b_2048", "tokens")}
    assert all(published()[name].note for name, _ in slips)


def test_every_row_of_both_tables_has_its_preset() -> None:
    tables = [of.table for of in TRAINED.values()]
    # truncation 6, group-based 4, L1-Max 2, LASER, LASER-D and LASER-DE 3 each; five of the 7B and one of the 32B
    assert (tables.count("Table 6"), tables.count("Table 4")) == (21, 6)
    assert published()["laser_de_1.5b_4096"].accuracy["AIME24"] == 35.0
    assert published()["original_1.5b"].tokens["AIME24"] == 15_956


def test_a_sentence_has_one_headline() -> None:
    full = Published("arXiv 1", "Table 2", "X", {"A": 1.5, "B": 2.5, AVERAGE: 2.0}, {"A": 10, "B": 3000, AVERAGE: 1505})
    assert full.sentence() == "Table 2 of arXiv 1, X: 2.0 % with 1,505 tokens on average over A and B."
    assert Published("arXiv 1", None, "X", {"A": 1.5}, {}).sentence() == "arXiv 1, X: 1.5 % on A."
    assert Published("arXiv 1", None, "X", {}, {}).sentence() == "arXiv 1, X."


def test_every_preset_of_every_group_has_its_line() -> None:
    code, out, err = run()
    assert (code, err) == (0, "")
    for group in GROUPS:
        for preset in presets(group):
            assert re.search(rf"^│ {re.escape(preset.name)} +│ \S", out, re.MULTILINE), preset.name
            assert preset.summary.endswith(".")
    assert re.search(r"│ laser_d_1.5b_4096 +│ LASER-D, L_T = 4096 +│ +60.3 │ +3,520 │", out)
    assert "paper=NAME: Table 6 of arXiv 2505.15612, averages" in out
    assert "AIME24 43.1" in out


def test_one_group_for_programs() -> None:
    code, out, _ = run("paper", "--json")
    records = {record["name"]: record for record in json.loads(out)}
    assert code == 0
    assert {record["group"] for record in records.values()} == {"paper"}
    assert records["laser_7b_8192"]["published"]["table"] == "Table 4"
    assert records["laser_7b_8192"]["published"]["accuracy"]["AIME24"] == 54.4
    assert json.loads(run("hardware", "--json")[1])[0].keys() == {"group", "name", "summary"}


def test_hardware_is_in_the_order_of_its_size() -> None:
    assert [preset.name for preset in presets("hardware")] == ["cpu", "1x8", "2x8", "4x8", "16x8"]


def test_the_path_is_that_of_the_clone_or_of_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("--path") == (0, f"{CONFIGS}\n", "")
    assert run("paper", "--path") == (0, f"{CONFIGS / 'paper'}\n", "")
    package = tmp_path / "laser_verl"
    (package / "configs").mkdir(parents=True)
    monkeypatch.setattr(module, "__file__", str(package / "presets.py"))
    assert folder() == package / "configs"


def test_an_unknown_group_gets_the_closest() -> None:
    code, out, err = run("papers")
    assert (code, out) == (2, "")
    assert "unknown group of presets 'papers'; did you mean 'paper'? known: method, sampler, model" in err

"""`laser-verl methods`: both registries, where each name is set, and what people read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from laser_verl.cli import app
from laser_verl.commands import methods
from laser_verl.core import describe, method_names
from laser_verl.core.advantages.base import describe_rule, rule_names

WIDTH = 100
FIND = {"reward.reward_manager.name": describe, "algorithm.adv_estimator": describe_rule}


def invoke(*arguments: str) -> Any:
    return CliRunner(env={"COLUMNS": str(WIDTH)}).invoke(app, ["methods", *arguments])


def plain(text: str) -> str:
    """The text without the frame of a table, its lines joined."""
    return " ".join(text.translate(str.maketrans("│┃", "  ")).split())


def test_every_reward_and_every_rule_has_a_record_in_json_that_says_where_it_is_set() -> None:
    listed = json.loads(invoke("--json").stdout)
    assert len({record["name"] for record in listed}) == len(listed)
    records = [*listed, *(record["advantage_rule"] for record in listed if "advantage_rule" in record)]
    names = {key: [record["name"] for record in records if record["set_by"] == key] for key in FIND}
    assert {key: sorted(of_key) for key, of_key in names.items()} == {
        "reward.reward_manager.name": method_names(),
        "algorithm.adv_estimator": rule_names(),
    }
    assert len(records) == len(method_names()) + len(rule_names())
    for record in records:
        info = FIND[record["set_by"]](record["name"])
        assert (record["options"], record["source"]) == (info.options, info.source)
        assert record["required"] == list(info.required)


def test_the_overview_lists_both_kinds_with_where_each_is_set() -> None:
    lengths, rules = invoke().stdout.split("Advantage rules: algorithm.adv_estimator=NAME")
    assert "Length rewards: reward.reward_manager.name=NAME" in lengths
    for names, table in ((method_names(), lengths), (rule_names(), rules)):
        assert [line.split()[1] for line in table.splitlines() if line.startswith("│ ") and line[2] != " "] == names


def test_the_overview_fits_and_names_papers_in_whole() -> None:
    output = invoke().stdout
    assert max(map(len, output.splitlines())) <= WIDTH
    for find, names in ((describe, method_names()), (describe_rule, rule_names())):
        for name in names:
            assert methods.short_source(find(name).source) in output


def test_a_source_is_shortened_to_its_paper() -> None:
    assert methods.short_source("arXiv 2505.15612, Eq. 2 and Table 2") == "arXiv 2505.15612"


@pytest.mark.parametrize("name", method_names())
def test_a_method_in_full(name: str) -> None:
    check_details(name, "reward.reward_manager.name", describe(name))


@pytest.mark.parametrize("name", rule_names())
def test_a_rule_in_full(name: str) -> None:
    check_details(name, "algorithm.adv_estimator", describe_rule(name))


def check_details(name: str, key: str, info: Any) -> None:
    output = invoke(name).stdout
    said = plain(output)
    assert max(map(len, output.splitlines())) <= WIDTH
    for part in (f"set by {key}={name}", info.summary, info.formula, f"source {info.source}"):
        assert " ".join(part.split()) in said
    for paragraph in info.text.split("\n\n"):
        assert " ".join(paragraph.split()) in said
    for part in (*info.needs, *info.columns, *info.options):
        assert part in said
    assert info.options.keys() <= info.meanings.keys()
    assert all(info.meanings[option] for option in info.options)


def test_only_what_has_options_has_a_table_of_them() -> None:
    assert not describe_rule("gdpo").options
    assert "default" not in invoke("gdpo").stdout
    assert "default" in invoke("dler").stdout


def test_a_name_of_both_kinds_shows_both() -> None:
    both = sorted({*method_names()} & {*rule_names()})
    assert "grpo_lead" in both
    for name in both:
        said = plain(invoke(name).stdout)
        for part in (f"reward.reward_manager.name={name}", f"algorithm.adv_estimator={name}"):
            assert part in said
        (reward,) = json.loads(invoke(name, "--json").stdout)
        rule = reward["advantage_rule"]
        assert (reward["set_by"], reward["options"]) == ("reward.reward_manager.name", describe(name).options)
        assert (rule["set_by"], rule["options"]) == ("algorithm.adv_estimator", describe_rule(name).options)

"""The scorer as verl's custom reward function: verl's own loader, its stock reward managers, a real tokenizer."""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import math
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_module
from omegaconf import DictConfig
from transformers import AutoTokenizer
from verl import DataProto
from verl.experimental.reward_loop.reward_manager.dapo import DAPORewardManager
from verl.experimental.reward_loop.reward_manager.naive import NaiveRewardManager
from verl.trainer.ppo.metric_utils import process_validation_metrics
from verl.trainer.ppo.reward import get_custom_reward_fn, load_reward_manager

from laser_verl.data.tiny_world import base_path
from laser_verl.scoring import LAYERS, STATUSES, verl_score
from tests.contract.test_reward_manager import EOS, GOOD, TOKENIZER, row
from tests.unit.test_scorer import is_alive, wait_until

NODE = "reward.custom_reward_function"
MANAGERS = {"naive": NaiveRewardManager, "dapo": DAPORewardManager}
KEYS = {
    "score",
    "acc",
    "answer_correct",
    "well_formed",
    "repetitive",
    "score_status",
    "score_layer",
    "score_milliseconds",
}
GOLDEN = json.loads((Path(__file__).parents[1] / "unit" / "golden" / "laser.json").read_text())["cases"]
(BASE_SCORE,) = (case for case in GOLDEN if case["id"] == "laser/base-score")


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """No scorer of another test, and no worker process left."""
    verl_score._made.clear()
    yield
    for scorer, _ in verl_score._made.values():
        scorer.close()
    verl_score._made.clear()


@functools.cache
def composed(*options: str, manager: str = "naive", more: tuple[str, ...] = ()) -> DictConfig:
    with initialize_config_module("verl.trainer.config", version_base=None):
        return compose(
            "ppo_trainer",
            [
                f"{NODE}.path=pkg://laser_verl.scoring.verl_score",
                f"reward.reward_manager.name={manager}",
                *(f"+{NODE}.reward_kwargs.{option}" for option in options),
                *more,
            ],
        )


def run(config: DictConfig, *rows: DataProto, tokenizer: Any = TOKENIZER) -> list[dict[str, Any]]:
    async def go() -> list[dict[str, Any]]:
        manager = load_reward_manager(config, tokenizer)
        assert type(manager) is MANAGERS[config.reward.reward_manager.name]
        return list(await asyncio.gather(*(manager.run_single(data) for data in rows)))

    return asyncio.run(go())


def score(response: str, gold: Any = "7", **options: Any) -> dict[str, float]:
    return asyncio.run(verl_score.compute_score("aime24", response, gold, {"index": 3}, **options))


def test_verl_finds_it_by_its_default_name_and_sees_that_it_is_asynchronous() -> None:
    function = get_custom_reward_fn(composed())
    assert inspect.iscoroutinefunction(function)
    assert load_reward_manager(composed(), TOKENIZER).is_async_reward_score


@pytest.mark.parametrize("manager", MANAGERS)
@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (GOOD, {"score": 1.0, "acc": 1.0, "answer_correct": 1.0, "well_formed": 1.0}),
        (
            "<think>aba!</think>\\boxed{a}" + EOS,
            {"score": -0.5, "acc": 0.0, "answer_correct": 0.0, "well_formed": 1.0},
        ),
        # the right answer without a thought: worth as little as any malformed response
        ("\\boxed{b}" + EOS, {"score": -1.0, "acc": 0.0, "answer_correct": 1.0, "well_formed": 0.0}),
        ("<think>bab!", {"score": -1.0, "acc": 0.0, "answer_correct": 0.0, "well_formed": 0.0}),
        ("", {"score": -1.0, "acc": 0.0, "answer_correct": 0.0, "well_formed": 0.0}),
    ],
)
def test_stock_managers_pass_on_score_and_verdict(manager: str, response: str, expected: dict[str, float]) -> None:
    [result] = run(composed(manager=manager), row(response, left=3, right=5))
    info = result["reward_extra_info"]
    assert result["reward_score"] == expected["score"]
    assert {key: info[key] for key in expected} == expected
    assert set(info) == KEYS
    assert all(type(value) is float and math.isfinite(value) for value in info.values())


def test_status_and_layer_are_indices_into_the_public_lists() -> None:
    right, wrong, none = run(composed(), row(GOOD), row("<think>a</think>\\boxed{a}"), row("<think>a</think>"))
    infos = [result["reward_extra_info"] for result in (right, wrong, none)]
    assert [STATUSES[int(info["score_status"])] for info in infos] == ["equal", "different", "unparseable"]
    assert LAYERS[int(infos[0]["score_layer"])] == "text"
    assert LAYERS[int(infos[2]["score_layer"])] == "format"


@pytest.mark.parametrize("name", BASE_SCORE["inputs"])
def test_base_scores_of_the_official_code_are_replayed(name: str) -> None:
    official = BASE_SCORE["expected"][name]["with_format"]
    verdict = score(BASE_SCORE["inputs"][name])
    assert (verdict["score"], verdict["answer_correct"]) == (official["score"], official["correctness"])


def test_options_come_through_verl() -> None:
    # without a thought: malformed as deepseek, right as boxed
    bare, opened = row("\\boxed{b}" + EOS), row("bab!</think>\\boxed{b}" + EOS)
    assert [result["reward_score"] for result in run(composed(), bare, opened)] == [-1.0, -1.0]
    assert [result["reward_score"] for result in run(composed("thinking=boxed"), bare)] == [1.0]
    assert [result["reward_score"] for result in run(composed("prompt_opens_think=true"), opened)] == [1.0]


def test_a_source_may_have_another_scorer() -> None:
    config = composed("scorers={physics: exact, default: math}")
    others = row(GOOD), row(GOOD)
    for source, other in zip(["physics", "chemistry"], others, strict=True):
        other.non_tensor_batch["data_source"][0] = source
    infos = [result["reward_extra_info"] for result in run(config, row(GOOD), *others)]
    assert [info["score"] for info in infos] == [1.0] * 3
    assert [LAYERS[int(info["score_layer"])] for info in infos] == ["text", "task", "text"]


def test_scorers_differ_on_one_answer() -> None:
    scorers = {"aime24": {"scorer": "numeric", "absolute_tolerance": 0.5}}
    answer = "<think></think>\\boxed{7.4}"
    assert [score(answer)["score"], score(answer, scorers=scorers)["score"]] == [-0.5, 1.0]


def test_dapo_adds_its_own_penalty_on_top() -> None:
    penalty = "{enable: true, len: 5, penalty_factor: 1.0, log: false}"
    kwargs = f"+reward.reward_kwargs={{max_resp_len: 13, overlong_buffer_cfg: {penalty}}}"
    # 10 tokens, 13 - 5 = 8 are free: (10 - 8) / 5 * 1.0 is taken off
    [result] = run(composed(manager="dapo", more=(kwargs,)), row(GOOD))
    assert float(result["reward_score"]) == pytest.approx(0.6)
    assert result["reward_extra_info"]["score"] == 1.0


def test_tags_that_are_special_tokens_are_lost_before_the_scorer_sees_them() -> None:
    tokenizer = AutoTokenizer.from_pretrained(base_path())
    tokenizer.add_special_tokens({"additional_special_tokens": ["<think>", "</think>"]})
    [result] = run(composed(), row(GOOD), tokenizer=tokenizer)
    assert (result["reward_score"], result["reward_extra_info"]["answer_correct"]) == (-1.0, 1.0)
    [result] = run(composed("thinking=boxed"), row(GOOD), tokenizer=tokenizer)
    assert result["reward_score"] == 1.0


@pytest.mark.parametrize("gold", [None, "", "  ", [], float("nan")])
def test_a_missing_gold_names_the_row(gold: Any) -> None:
    with pytest.raises(ValueError, match=r"tiny_world/easy.*17"):
        run(composed(), row(GOOD, gold=gold))


def test_a_row_without_extra_info_is_scored_and_named() -> None:
    assert asyncio.run(verl_score.compute_score("aime24", "<think></think>\\boxed{7}", 7))["score"] == 1.0
    with pytest.raises(ValueError, match=r"data_source='aime24', index=None"):
        asyncio.run(verl_score.compute_score("aime24", "7", None))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"thinking": "deepsek"}, "did you mean 'deepseek'"),
        ({"prompt_opens_think": "yes"}, "prompt_opens_think='yes' must be true or false"),
        ({"prompt_opens_think": 1}, "prompt_opens_think=1 must be true or false"),
        *(
            ({"verify_timeout_seconds": value}, rf"^verify_timeout_seconds={value!r} must be in \(0, 600\], e.g. 5")
            for value in (0, -1, 700, True, None, "5", float("nan"))
        ),
        ({"scorers": {"aime24": "mathh"}}, "scorers.aime24='mathh' is unknown"),
        ({"scorers": {"default": {"path": "mine.py"}}}, "names a function"),
    ],
)
def test_wrong_options_are_errors(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        score("7", **options)
    assert verl_score._made == {}


@pytest.mark.parametrize(
    ("source", "options"),
    [
        ("somewhere", {"scorers": {"physics": "exact"}}),
        ("apps*", {"scorers": {"apps": "exact"}}),
    ],
)
def test_a_source_without_a_scorer_is_an_error_that_names_the_row(source: str, options: dict[str, Any]) -> None:
    where = f"data_source={source!r}, index=3 has no scorer; known are "
    with pytest.raises(ValueError, match=re.escape(where) + r".*by \+reward\.custom_reward_function\..*default=math"):
        asyncio.run(verl_score.compute_score(source, "7", "7", {"index": 3}, **options))


@pytest.mark.parametrize("options", [{}, {"scorers": {"default": "math"}}])
def test_code_is_not_sent_to_mathematics(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"index=3 has no scorer: codecontests is scored by running code") as raised:
        asyncio.run(verl_score.compute_score("codecontests", "7", "7", {"index": 3}, **options))
    assert "default=math" not in str(raised.value)
    assert "+reward.reward_kwargs.scorers={codecontests: {path: FILE, name: FUNCTION}}" in str(raised.value)


def test_options_are_read_without_starting_anything() -> None:
    assert verl_score.read_options().find("physics").name == "math"
    scorers = verl_score.read_options(scorers={"my/*": "exact"}, verify_timeout_seconds=600)
    assert scorers.find("my/quiz").name == "exact"
    assert verl_score._made == {}


def test_a_gold_that_its_scorer_cannot_read_is_an_error_that_names_the_row() -> None:
    with pytest.raises(ValueError, match=r"aime24.*index=3.*multiple_choice"):
        score("7", "not a letter", scorers={"aime24": "multiple_choice"})


def test_one_scorer_per_set_of_options_whatever_the_thread() -> None:
    results: list[float] = []

    def work(thinking: str) -> None:
        results.append(score("\\boxed{7}", thinking=thinking)["score"])

    threads = [threading.Thread(target=work, args=(("deepseek", "boxed")[i % 2],)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [-1.0] * 8 + [1.0] * 8
    assert len(verl_score._made) == 2


def test_verl_averages_all_that_is_returned() -> None:
    infos = [score("<think></think>\\boxed{7}"), score("nothing")]
    columns = {key: [info[key] for info in infos] for key in infos[0]}
    metrics = process_validation_metrics(["aime24"] * 2, ["a", "b"], columns)["aime24"]
    assert set(metrics) == KEYS
    assert metrics["acc"]["mean@1"] == 0.5


EXITS = """
import asyncio, psutil
from laser_verl.scoring.verl_score import compute_score
answer = r"<think></think>\\boxed{\\cos(x)+\\sin(x)}"
print(asyncio.run(compute_score("aime24", answer, r"\\sin(x)+\\cos(x)"))["score"])
print([child.pid for child in psutil.Process().children(recursive=True)])
"""


def test_workers_end_with_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", EXITS], capture_output=True, text=True, timeout=60, check=True)
    first, second = done.stdout.splitlines()
    assert first == "1.0"
    pids = json.loads(second)
    assert pids
    assert wait_until(lambda: not any(map(is_alive, pids)), 2.0)
    assert done.stderr == ""


FORKS = """
import asyncio, os
from laser_verl.scoring import verl_score
def score(name):
    answer = rf"<think></think>\\boxed{{\\cos({name})+\\sin({name})}}"
    return asyncio.run(verl_score.compute_score("aime24", answer, rf"\\sin({name})+\\cos({name})"))["score"]
assert score("x") == 1.0
pid = os.fork()
if pid == 0:  # the parent's threads, on which its scorer relies, do not exist here
    os._exit(0 if score("y") == 1.0 else 1)
assert os.waitpid(pid, 0)[1] == 0
assert score("z") == 1.0
"""


def test_a_forked_process_makes_a_scorer_of_its_own() -> None:
    subprocess.run([sys.executable, "-c", FORKS], timeout=60, check=True)

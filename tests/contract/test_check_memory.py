"""`laser-verl check --memory`: sizes from real Hugging Face configs and real compositions, without weights."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import pytest
from transformers import AutoConfig

from laser_verl.commands import WrongUsage
from laser_verl.commands.check import run
from laser_verl.memory import GIB, Generation, Shape, Training
from laser_verl.verl_ext.checks import Report, read_arguments
from laser_verl.verl_ext.checks.memory import check_memory, read_generation, read_shape, read_training
from tests.contract.good_run import message
from tests.contract.preset_runs import MODEL_CONFIGS, composed, parsing_once

REPOSITORY = Path(__file__).parents[2]


def shape_of(model: str, lora_rank: int = 0) -> Shape:
    fields = json.loads((MODEL_CONFIGS / f"{model}.json").read_text())
    return read_shape(AutoConfig.for_model(**fields), lora_rank)


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        ("r1_distill_qwen_1.5b", 1_777_088_000),
        ("r1_distill_qwen_7b", 7_615_616_512),
        ("r1_distill_qwen_32b", 32_763_876_352),
        ("r1_distill_llama_8b", 8_030_261_248),
        ("qwen3_4b", 4_022_468_096),
        ("qwen3_30b_a3b", 30_532_122_624),
        ("qwen2.5_math_1.5b", 1_543_714_304),
    ],
)
def test_parameters_are_the_published_number(model: str, parameters: int) -> None:
    assert shape_of(model).parameters == parameters


def test_sizes_of_a_dense_model_and_of_a_mixture() -> None:
    # worked out in tests/unit/test_memory.py
    assert shape_of("r1_distill_qwen_7b") == Shape(
        **{"outside": 1_089_998_336, "layer": 233_057_792, "experts": 0, "layers": 28, "hidden": 3584},
        **{"query_width": 3584, "kv_heads": 4, "head_size": 128, "mlp_width": 18_944, "vocabulary": 152_064},
    )
    mixture = shape_of("qwen3_30b_a3b")
    assert (mixture.outside, mixture.layer, mixture.experts) == (622_331_904, 19_140_864, 603_979_776)
    assert (mixture.mlp_width, mixture.routed, mixture.query_width) == (6144, 8, 4096)


def test_adapters_go_with_every_linear_map_of_a_layer() -> None:
    # 32 * (2 * (1536 + 1536) + 2 * (1536 + 256) + 3 * (1536 + 8960))
    assert shape_of("r1_distill_qwen_1.5b", lora_rank=32).adapters == 32 * (6144 + 3584 + 31_488)


def test_a_training_is_read_from_its_config() -> None:
    model = ("paper=common/laser", "model=r1_distill_qwen_32b")
    fsdp = read_training(composed(*model, "backend=fsdp2", "hardware=4x8"))
    shared = {"offloads_weights": True, "offloads_optimizer": True, "has_entropy": True}
    assert fsdp == Training(engine="fsdp", gpus=32, shards=32, tokens=8704, **shared)
    megatron = read_training(composed(*model, "backend=megatron", "hardware=2x8"))
    assert megatron == Training(engine="megatron", gpus=16, tensor=8, expert_tensor=8, tokens=17_408, **shared)
    assert read_generation(composed(*model)) == Generation(longest=17_408, tensor=4, share=0.7)


def test_fixed_micro_batches_and_lora() -> None:
    fixed = ("actor_rollout_ref.actor.use_dynamic_bsz=false", "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=2")
    lora = ("actor_rollout_ref.model.lora_rank=32", "actor_rollout_ref.actor.fsdp_config.fsdp_size=4")
    training = read_training(composed("paper=common/laser", "model=r1_distill_qwen_1.5b", *fixed, *lora))
    assert training == Training(
        engine="fsdp", gpus=8, shards=4, tokens=2 * 17_408, has_reference=False, has_entropy=True
    )


@pytest.mark.timeout(600)
def test_the_page_is_up_to_date_and_presets_fit_where_it_says_so() -> None:
    script = runpy.run_path(str(REPOSITORY / "docs" / "make_memory.py"))
    text = script["PAGE"].read_text(encoding="utf-8")
    with parsing_once():
        assert script["page"](text) == text, "run: python docs/make_memory.py"
    survey = text.partition("<!-- begin survey -->")[2].partition("<!-- end survey -->")[0]
    too_much = re.findall(r"^\| `(\w+)` \| `fsdp` \| \*\*", survey, re.MULTILINE)
    # on one node; with Megatron they fit there too, and with FSDP on two
    assert too_much == ["r1_distill_qwen_32b", "qwen3_30b_a3b"]
    assert survey.count("**") == 2 * len(too_much)


def test_check_prints_the_arithmetic(good: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*good, "--memory"]) == 0
    out = capsys.readouterr().out
    # tied embeddings 264 * 96; twice attention 3 * 97 * 96 + 96 * 96, MLP 3 * 96 * 256, norms 2 * 96; a norm of 96
    assert "memory        GiB of each GPU of 80; 247,584 parameters" in out
    assert out.splitlines()[-1].startswith("check         no mistake found")
    assert run([*good, "--memory=24", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] is True
    assert found["memory"]["gpu"] == 24 * GIB
    assert [phase["name"] for phase in found["memory"]["phases"]] == ["update of the actor", "generation"]
    assert run([*good, "--json"]) == 0
    assert "memory" not in json.loads(capsys.readouterr().out)


def test_a_hub_name_without_network_says_what_to_fetch(good: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    hub = "actor_rollout_ref.model.path=nobody/nothing-1.5b"
    assert run([*good, hub, "--memory"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "--memory needs the config.json of actor_rollout_ref.model.path=nobody/nothing-1.5b" in err
    assert "`hf download nobody/nothing-1.5b config.json`" in err
    assert "Traceback" not in err
    assert run([*good, hub, "--memory", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [error["field"] for error in found["errors"]] == ["--memory"]
    assert found["memory"] is None


@pytest.mark.parametrize(("content", "told"), [('{"model_type": "vit"}', "ViTConfig"), ("{", "JSON")])
def test_a_config_that_is_no_language_model(tmp_path: Path, content: str, told: str) -> None:
    (tmp_path / "config.json").write_text(content)
    report = Report()
    assert check_memory(composed("paper=common/laser", f"actor_rollout_ref.model.path={tmp_path}"), 80, report) is None
    said = message(report, "--memory")
    assert said.startswith(f"--memory cannot read {tmp_path}/config.json (")
    assert told in said
    assert said.endswith("; give a causal language model")


def test_an_engine_that_is_not_known(good: list[str]) -> None:
    report = Report()
    [path] = [text for text in good if text.startswith("actor_rollout_ref.model.path=")]
    check_memory(composed("paper=common/laser", path, "actor_rollout_ref.actor.strategy=veomni"), 80, report)
    assert "--memory knows fsdp, fsdp2 and megatron, not" in message(report, "--memory")


@pytest.mark.parametrize(
    "given", ["--memory=", "--memory=big", "--memory=0", "--memory=-1", "--memory=inf", "--memory=nan"]
)
def test_a_gpu_has_a_size(given: str) -> None:
    with pytest.raises(WrongUsage, match="give the memory of a GPU in GiB"):
        read_arguments([given])

"""Every preset composes, verl accepts it, `laser-verl check` finds no mistake, and it changes what it did before."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import DictConfig, OmegaConf

from laser_verl.presets import folder
from laser_verl.verl_ext import checks
from laser_verl.verl_ext.checks import Report, check
from laser_verl.verl_ext.checks.batches import check_batches
from tests.contract.good_run import message
from tests.contract.preset_runs import (
    ANEW,
    NEEDED,
    PAPER,
    arguments,
    changes,
    composed,
    models_and_backends,
    names,
    plain,
    stored,
    trained,
    verl,
    with_engine_of,
    write_data,
    write_hub_cache,
)

Checked = Callable[..., Report]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def hub_cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    cache = tmp_path_factory.mktemp("hub")
    write_hub_cache(cache)
    return str(cache)


@pytest.fixture
def checked(data: dict[str, str], hub_cache: str, monkeypatch: pytest.MonkeyPatch) -> Checked:
    """The real check on presets: each is composed once in this module, and its model is in a hub cache."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", hub_cache)

    def run(*overrides: str) -> Report:
        config = composed(*overrides).copy()
        for key, value in data.items():
            OmegaConf.update(config, key, value)
        monkeypatch.setattr(checks, "compose_config", lambda _, __: config)
        return check(arguments(*overrides))

    return run


@pytest.mark.parametrize("engine", ["dp", "megatron"])
def test_verls_own_config_is_the_stored_one(engine: str) -> None:
    assert plain(verl(engine)) == stored(f"verl_{engine}"), ANEW


def test_every_stored_preset_is_there() -> None:
    for group in ("method", "sampler", "model", "backend", "hardware", "paper"):
        assert list(stored(group)) == names(group), ANEW
    assert list(stored("fit")) == [" ".join(pair) for pair in models_and_backends()], ANEW


@pytest.mark.parametrize("name", names("paper"))
def test_a_paper_preset_passes_and_changes_what_is_stored(name: str, checked: Checked) -> None:
    assert checked(f"paper={name}").mistakes == []
    config = composed(f"paper={name}")
    assert changes(config, verl("dp")) == stored("paper")[name], ANEW
    # a run of one preset must not go on from the checkpoints of another
    assert config.trainer.experiment_name == name


@pytest.mark.parametrize("name", names("method"))
def test_a_method_passes_and_changes_what_is_stored(name: str, checked: Checked) -> None:
    overrides = (*PAPER, f"method={name}", *NEEDED.get(name, ()))
    report = checked(*overrides)
    assert report.mistakes == []
    assert report.active["method"] == name
    assert changes(composed(*overrides), composed(*PAPER, "~method")) == stored("method")[name], ANEW


@pytest.mark.parametrize(("model", "backend"), models_and_backends())
def test_a_model_trains_with_a_backend_on_all_hardware(model: str, backend: str, checked: Checked) -> None:
    without = trained(model)
    assert checked(*without, f"backend={backend}").mistakes == []
    config = composed(*without, f"backend={backend}")
    assert changes(config, with_engine_of(config, *without)) == stored("fit")[f"{model} {backend}"], ANEW
    for hardware in names("hardware"):
        if hardware != "cpu":
            report = Report()
            check_batches(_on(hardware, config), True, False, report)
            assert report.mistakes == [], hardware


def _on(hardware: str, config: DictConfig) -> DictConfig:
    merged = OmegaConf.merge(config, OmegaConf.load(folder() / "hardware" / f"{hardware}.yaml"))
    assert isinstance(merged, DictConfig)
    return merged


@pytest.mark.parametrize("group", ["sampler", "backend", "hardware"])
def test_the_other_groups_change_what_is_stored(group: str) -> None:
    for name in names(group):
        config = composed(*PAPER, f"{group}={name}")
        assert changes(config, with_engine_of(config, *PAPER)) == stored(group)[name], f"{name}: {ANEW}"


def test_models_change_what_is_stored() -> None:
    for name in names("model"):
        assert changes(composed(f"model={name}"), composed()) == stored("model")[name], f"{name}: {ANEW}"


def test_the_miniature_model_trains_on_cpu_with_a_papers_settings(checked: Checked) -> None:
    small = ("data.train_batch_size=16", "actor_rollout_ref.actor.ppo_mini_batch_size=8")
    report = checked(
        *("paper=common/laser", "model=tiny_cpu", "hardware=cpu", *small),
        *("data.max_prompt_length=64", "data.max_response_length=160", "reward.reward_kwargs.lower_bound=16"),
    )
    assert report.mistakes == []
    assert report.active["model"].endswith("laser_verl/data/tiny_base")


def test_laser_d_has_the_settings_of_the_paper() -> None:
    # arXiv 2505.15612, section 5 and appendix E.2: all of them, those too that verl has by default
    config = composed("paper=laser_d_1.5b_4096")
    actor, rollout = config.actor_rollout_ref.actor, config.actor_rollout_ref.rollout
    assert config.actor_rollout_ref.model.path == "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"
    assert (config.data.train_batch_size, rollout.n, actor.ppo_mini_batch_size) == (128, 8, 64)
    assert (config.data.max_prompt_length, config.data.max_response_length) == (1024, 16384)
    assert (actor.optim.lr, actor.clip_ratio_low, actor.clip_ratio_high) == (1e-6, 0.2, 0.28)
    assert (actor.use_kl_loss, actor.kl_loss_coef, actor.kl_loss_type) == (True, 0.001, "low_var_kl")
    assert (actor.entropy_coeff, actor.loss_agg_mode, rollout.temperature) == (0.001, "token-mean", 0.6)
    assert (config.algorithm.adv_estimator, config.algorithm.norm_adv_by_std_in_grpo) == ("grpo", True)
    assert (config.trainer.save_freq, config.trainer.test_freq, config.trainer.total_epochs) == (10, 10, 5)
    assert (config.trainer.nnodes, config.trainer.n_gpus_per_node) == (1, 8)
    kwargs = config.reward.reward_kwargs
    assert (kwargs.alpha, kwargs.lower_bound, kwargs.interval) == (0.5, 4096, 1024)
    assert (kwargs.source, kwargs.update_every, kwargs.monitor.size) == ("monitor", 20, 500)
    assert kwargs.scores == {"correct": 1.0, "wrong": -0.5, "malformed": -1.0}
    assert "rounding" not in kwargs, "the default, ceil, is the paper's"


def test_a_micro_batch_is_one_response_whatever_its_length() -> None:
    def tokens(*overrides: str) -> tuple[int, int]:
        of = composed("paper=common/laser", "data.max_response_length=8192", *overrides).actor_rollout_ref
        return of.actor.ppo_max_token_len_per_gpu, of.rollout.log_prob_max_token_len_per_gpu

    assert tokens("model=r1_distill_qwen_1.5b") == (1024 + 8192, 1024 + 8192)
    # two GPUs share each response, or four
    assert tokens("model=r1_distill_qwen_32b", "backend=fsdp2") == (4608, 4608)
    four = "actor_rollout_ref.actor.ulysses_sequence_parallel_size=4"
    assert tokens("model=r1_distill_qwen_32b", "backend=fsdp2", four) == (2304, 2304)


@pytest.mark.parametrize("length", ["many", "null"])
def test_a_length_that_is_no_number_is_one_mistake(length: str, data: dict[str, str]) -> None:
    files = [f"{key}={value}" for key, value in data.items()]
    report = check(arguments("paper=laser_d_1.5b_4096", f"data.max_response_length={length}", *files))
    assert [mistake.field for mistake in report.mistakes] == ["data.max_response_length"]


def test_verls_own_command_line_resolves_a_preset(tmp_path: Path) -> None:
    show = ("--cfg", "job", "--resolve", "-p", "actor_rollout_ref.actor")
    program = [sys.executable, "-m", "verl.trainer.main_ppo", *arguments("paper=laser_de_32b_8192"), *show]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    shown = yaml.safe_load(done.stdout[done.stdout.index("optim:") :])
    assert (shown["strategy"], shown["ppo_max_token_len_per_gpu"]) == ("fsdp2", 8704)


def test_a_paper_keeps_to_the_users_word() -> None:
    paper = "paper=laser_d_1.5b_4096"
    config = composed(paper, "method=laser_de", "model=qwen3_30b_a3b", "backend=megatron_moe", "hardware=16x8")
    assert config.reward.reward_manager.name == "laser_de"
    assert config.reward.reward_kwargs.lower_bound == 4096
    assert config.actor_rollout_ref.model.path == "Qwen/Qwen3-30B-A3B"
    assert config.actor_rollout_ref.actor.strategy == "megatron"
    assert config.actor_rollout_ref.actor.megatron.tensor_model_parallel_size == 4
    assert config.trainer.nnodes == 16
    assert composed(paper, "hardware=cpu").actor_rollout_ref.actor.fsdp_config.dtype == "float32"
    other = composed(paper, "hardware=cpu", "backend=megatron")
    assert other.actor_rollout_ref.actor.strategy == "megatron"
    assert "fsdp_config" not in other.actor_rollout_ref.actor
    assert other.actor_rollout_ref.rollout.enforce_eager is True


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("method=lasr_d", "method=laser_d"),
        ("paper=laser_d_1.5b_409", "paper=laser_d_1.5b_4096"),
        ("model=r1_distil_qwen_7b", "model=r1_distill_qwen_7b"),
        ("hardware=4x7", "hardware=4x8"),
    ],
)
def test_a_typo_gets_the_closest_preset_and_the_others(typed: str, meant: str) -> None:
    group, _, name = typed.partition("=")
    told = message(check(arguments(typed)), group)
    assert told.startswith(f"{typed}: there is no {group}/{name}; did you mean {meant}? known: ")
    assert set(names(group)) <= set(told.partition("known: ")[2].split(", "))


def test_verls_own_keys_are_no_preset_of_ours() -> None:
    assert composed("model=r1_distill_qwen_7b").critic.model.path == verl("dp").critic.model.path


def test_the_common_settings_are_differences_only() -> None:
    def leaves(node: Any, path: str = "") -> dict[str, Any]:
        if not isinstance(node, dict):
            return {path: node}
        return {key: value for name in node for key, value in leaves(node[name], f"{path}.{name}".lstrip(".")).items()}

    host = leaves(plain(verl("dp")))
    for path in (folder() / "paper" / "common").glob("*.yaml"):
        own = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
        own.pop("defaults", None)
        same = {key for key, value in leaves(own).items() if host.get(key, "none") == value}
        # what differs from another common preset in between
        assert same <= {"algorithm.adv_estimator"}, path

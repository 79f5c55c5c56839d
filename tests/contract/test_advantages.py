"""Our estimators through verl's own advantage step: padding, several turns, KL in the reward, and no batch at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from tensordict import TensorDict
from verl.protocol import DataProto
from verl.trainer.ppo import core_algos
from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY, FixedKLController
from verl.trainer.ppo.ray_trainer import apply_kl_penalty
from verl.trainer.ppo.v1.utils import compute_advantage_for_multi_trajectories

from laser_verl.core import Rollouts, Shaped
from laser_verl.core.advantages.base import build_rule, group_normalised, rule_names
from laser_verl.verl_ext import advantages
from laser_verl.verl_ext.advantages import Batch, given
from laser_verl.verl_ext.layout import Layout, place_rewards

# Two prompts of two responses each. The first response of p has two turns, the later one first in the batch, and in the
# earlier one a tool wrote the third token. The last row is padding.
KEYS = ["q_1_0", "p_0_1", "p_0_0", "p_1_0", "q_0_0", "pad_0_0"]
ROW_TOKENS = [3, 2, 4, 5, 1, 1]
MASK = [[1, 1, 1, 0, 0], [1, 1, 0, 0, 0], [1, 1, 0, 1, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]]
# the order in which the layout meets them: q_1, p_0, p_1, q_0
LENGTHS = [3, 5, 5, 1]
ROWS_OF = [[0], [1, 2], [3], [4]]


def layout_of(keys: list[str] = KEYS, tokens: list[int] = ROW_TOKENS) -> Layout:
    tags = [
        {"response_len": length, "is_padding": key.startswith("pad")} for key, length in zip(keys, tokens, strict=True)
    ]
    return Layout.of(keys, tags)


def batch_of(name: str | None, reward: list[float], length_reward: list[float] | None = None, **options: Any) -> Batch:
    """The batch of `KEYS`; all of q is solved, and p_0 of p."""
    layout = layout_of()
    rollouts = Rollouts.build(layout.uids, LENGTHS, [1, 1, 0, 1])
    bonus = np.array(length_reward or [0.0] * 4)
    return Batch(
        rule=None if name is None else build_rule(name, options),
        rollouts=rollouts,
        shaped=Shaped(np.array(reward) - bonus, bonus),
        layout=layout,
        keys=KEYS,
    )


def proto(batch: Batch, mask: list[list[int]] = MASK, keys: list[str] = KEYS) -> DataProto:
    """What verl makes of the batch before its advantage step."""
    scores = place_rewards(batch.layout, batch.shaped.reward).to_padded_tensor(0.0, (len(mask), len(mask[0])))
    tensors = {"response_mask": torch.tensor(mask), "token_level_scores": scores, "token_level_rewards": scores}
    uids = np.array([key.rsplit("_", 2)[0] for key in keys], dtype=object)
    return DataProto(batch=TensorDict(tensors, batch_size=len(mask)), non_tensor_batch={"uid": uids})


def advantage_step(data: DataProto, name: str, keys: list[str] = KEYS, **algorithm: Any) -> torch.Tensor:
    """verl's advantage step, as its V1 trainer takes it."""
    config = OmegaConf.create({"adv_estimator": name, **algorithm})
    OmegaConf.set_struct(config, True)
    by_std = config.get("norm_adv_by_std_in_grpo", True)
    data = compute_advantage_for_multi_trajectories(
        data, keys, adv_estimator=name, norm_adv_by_std_in_grpo=by_std, config=config
    )
    assert torch.equal(data.batch["advantages"], data.batch["returns"])
    return data.batch["advantages"]


def on_tokens(values: list[float]) -> np.ndarray:
    """Each response's advantage on the written tokens of its rows, by hand."""
    expected = np.zeros((len(MASK), len(MASK[0])))
    for value, rows in zip(values, ROWS_OF, strict=True):
        for row in rows:
            expected[row] = value * np.array(MASK[row])
    return expected


def check(got: torch.Tensor, values: list[float]) -> None:
    np.testing.assert_allclose(got.numpy(), on_tokens(values), rtol=0, atol=1e-5)


def test_every_rule_is_registered() -> None:
    assert rule_names() == advantages.REGISTERED
    assert set(rule_names()) <= ADV_ESTIMATOR_REGISTRY.keys()
    with pytest.raises(ValueError, match="already been registered"):
        core_algos.register_adv_est("mgpo")(advantages.estimator("mgpo"))


def test_a_response_gets_its_advantage_on_all_that_it_wrote_and_padding_none() -> None:
    batch = batch_of("mgpo", reward=[1.5, 1.0, 0.0, 1.0])
    with given(batch):
        got = advantage_step(proto(batch), "mgpo")
    # q: +-0.25 / 0.35355 * 1/2 (all solved), p: +-0.5 / 0.70711 (half solved)
    check(got, [0.35355, 0.70711, -0.70711, -0.35355])
    # (1/2 + 1) / 2
    assert batch.metrics == {"laser/mgpo/weight_mean": pytest.approx(0.75)}


def test_without_the_std_of_the_group() -> None:
    batch = batch_of("mgpo", reward=[1.5, 1.0, 0.0, 1.0])
    with given(batch):
        got = advantage_step(proto(batch), "mgpo", norm_adv_by_std_in_grpo=False)
    check(got, [0.125, 0.5, -0.5, -0.125])


def test_a_kl_penalty_in_the_reward_counts() -> None:
    batch = batch_of("mgpo", reward=[1.0, 1.0, 0.0, 1.0], lam=0.0)
    data = proto(batch)
    # 0.1 * 1 for each token of q_1, of which there are three; nothing elsewhere
    data.batch["ref_log_prob"] = torch.zeros(6, 5)
    data.batch["old_log_probs"] = torch.zeros(6, 5)
    data.batch["old_log_probs"][0] = 1.0
    data, _ = apply_kl_penalty(data, kl_ctrl=FixedKLController(0.1))
    with given(batch):
        got = advantage_step(data, "mgpo", norm_adv_by_std_in_grpo=False)
    # q: 0.7 and 1.0
    check(got, [-0.15, 0.5, -0.5, 0.15])


def test_weight_one_is_verls_grpo() -> None:
    batch = batch_of("mgpo", reward=[1.37, 0.9, -0.5, 1.0], lam=0.0)
    with given(batch):
        ours = advantage_step(proto(batch), "mgpo")
    stock = advantage_step(proto(batch), "grpo")
    np.testing.assert_allclose(ours, stock, rtol=0, atol=1e-5)


def test_tokens_beyond_a_cut_get_nothing_over_all_turns() -> None:
    keys = ["p_1_1", "p_0_0", "p_1_0", "p_2_0"]
    layout = layout_of(keys, [4, 2, 4, 2])
    # p_1 writes 4 + 3 tokens, the second of its first turn by a tool: 7 beside 2 and 2; mean 3.667, std 2.887, T = 5
    mask = [[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 1, 1], [1, 1, 0, 0]]
    rollouts = Rollouts.build(layout.uids, [7, 2, 2], [1, 1, 1])
    rule = build_rule("dot", {"alpha": 0.5, "margin": 1})
    batch = Batch(rule, rollouts, Shaped(np.ones(3), np.zeros(3)), layout, keys)
    with given(batch):
        got = advantage_step(proto(batch, mask, keys), "dot", keys)
    # rewards 0, 1, 1: mean 2/3, std 0.57735; of p_1 the first turn's 3 tokens are kept, and 2 of the second's
    low, high = -1.15470, 0.57735
    expected = [[low, low, 0, 0], [high, high, 0, 0], [low, 0, low, low], [high, high, 0, 0]]
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)
    assert batch.metrics == {"laser/dot/cut_frac": pytest.approx(1 / 3)}


def test_a_rejected_token_does_not_move_a_cut() -> None:
    keys, written = ["p_0_0", "p_1_0", "p_2_0"], [[1, 1, 1, 1, 1, 1, 1], [1, 1, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0, 0]]
    layout = layout_of(keys, [7, 2, 2])
    rollouts = Rollouts.build(layout.uids, [7, 2, 2], [1, 1, 1])
    rule = build_rule("dot", {"alpha": 0.5, "margin": 1})
    masks = [torch.ones(7), torch.ones(2), torch.ones(2)]
    batch = Batch(rule, rollouts, Shaped(np.ones(3), np.zeros(3)), layout, keys, masks=lambda: masks)
    # verl's rollout correction has taken the second token out
    left = [[1, 0, 1, 1, 1, 1, 1], *written[1:]]
    with given(batch):
        got = advantage_step(proto(batch, left, keys), "dot", keys)
    # T = 5 as above: the fifth token is the last that counts, though only four of the first five are left
    assert (got[0] != 0).tolist() == [True, False, True, True, True, False, False]


def test_a_response_without_tokens_counts_with_its_shaped_reward() -> None:
    keys, mask = ["p_0_0", "p_1_0"], [[1, 1], [0, 0]]
    layout = layout_of(keys, [2, 0])
    rollouts = Rollouts.build(layout.uids, [2, 0], [1, 0])
    batch = Batch(build_rule("mgpo"), rollouts, Shaped(np.array([1.0, -1.0]), np.zeros(2)), layout)
    with given(batch):
        got = advantage_step(proto(batch, mask, keys), "mgpo", keys, norm_adv_by_std_in_grpo=False)
    np.testing.assert_allclose(got, [[1.0, 1.0], [0.0, 0.0]])


@pytest.mark.parametrize(
    ("over", "lengths"), [("responses", [1] * 12), ("tokens", [1] * 12), ("tokens", [1, 4, 2, 3] * 3)]
)
def test_dler_is_verls_reinforce_plus_plus_baseline_where_tokens_count(over: str, lengths: list[int]) -> None:
    keys = [f"{prompt}_{session}_0" for prompt in "pqr" for session in range(4)]
    layout = layout_of(keys, lengths)
    rng = np.random.default_rng(3)
    rollouts = Rollouts.build(layout.uids, lengths, [1] * 12)
    batch = Batch(build_rule("dler", {"over": over}), rollouts, Shaped(rng.normal(size=12), np.zeros(12)), layout)
    mask = [[1] * length + [0] * (4 - length) for length in lengths]
    with given(batch):
        ours = advantage_step(proto(batch, mask, keys), "dler", keys)
    stock = advantage_step(proto(batch, mask, keys), "reinforce_plus_plus_baseline", keys)
    np.testing.assert_allclose(ours, stock, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in rule_names() if name != "gdpo"])
def test_without_our_trainer_the_error_names_the_remedy(name: str) -> None:
    batch = batch_of(None, reward=[1.0, 1.0, 0.0, 1.0])
    message = rf"adv_estimator={name} .*; name a reward manager of laser_verl, e\.g\. reward\.reward_manager\.name=none"
    with pytest.raises(ValueError, match=message):
        advantage_step(proto(batch), name)
    with given(batch), pytest.raises(ValueError, match=message):
        advantage_step(proto(batch), name)


def test_a_batch_is_given_for_one_step_only() -> None:
    batch = batch_of("mgpo", reward=[1.0, 1.0, 0.0, 1.0])
    with pytest.raises(RuntimeError), given(batch):
        raise RuntimeError
    with pytest.raises(ValueError, match="reads the verdicts"):
        advantage_step(proto(batch), "mgpo")


@pytest.mark.parametrize("by_std", [True, False])
def test_our_grpo_is_verls(by_std: bool) -> None:
    rng = np.random.default_rng(1)
    uids = np.repeat([f"p{number}" for number in range(40)], rng.choice([1, 2, 6, 8], 40))
    reward = rng.choice([1.5, 1.0, -0.5, rng.normal()], len(uids))
    mask = torch.ones(len(uids), 1)
    stock, _ = core_algos.compute_grpo_outcome_advantage(
        torch.tensor(reward).float()[:, None], mask, uids, norm_adv_by_std_in_grpo=by_std
    )
    ours = group_normalised(Rollouts.build(uids, [1] * len(uids), [1] * len(uids)), reward, by_std)
    np.testing.assert_allclose(ours, stock[:, 0], rtol=0, atol=2e-3 if by_std else 1e-6)


def single_turns(columns: dict[str, np.ndarray], lengths: np.ndarray, uids: np.ndarray) -> dict[str, Any]:
    """The arguments of verl's GDPO, columns and all."""
    width = int(lengths.max())
    mask = (torch.arange(width)[None] < torch.from_numpy(lengths)[:, None]).long()
    prompts = torch.zeros(len(uids), 2, dtype=torch.int64)
    return {
        "token_level_rewards": torch.zeros(len(uids), width),
        "response_mask": mask,
        "index": uids,
        "non_tensor_batch": columns,
        "batch": {"prompts": prompts, "attention_mask": torch.cat([torch.ones_like(prompts), mask], dim=1)},
    }


def gdpo_case(seed: int = 5) -> tuple[Batch, dict[str, Any]]:
    rng = np.random.default_rng(seed)
    uids = np.repeat(np.array([f"p{number}" for number in range(10)], dtype=object), rng.choice([1, 2, 6, 8], 10))
    size = len(uids)
    lengths = rng.integers(1, 30, size)
    shaped = Shaped(rng.choice([1.0, 0.0], size), rng.choice([0.5, 0.0], size))
    keys = [f"{uid}_{row}_0" for row, uid in enumerate(uids)]
    batch = Batch(
        rule=build_rule("gdpo"),
        rollouts=Rollouts.build(uids, lengths, shaped.task_reward),
        shaped=shaped,
        layout=layout_of(keys, lengths.tolist()),
        keys=keys,
    )
    columns = {"task_reward": shaped.task_reward, "length_reward": shaped.length_reward}
    return batch, single_turns(columns, lengths, uids)


def test_our_gdpo_is_verls() -> None:
    batch, arguments = gdpo_case()
    config = {"gdpo_reward_keys": ["task_reward", "length_reward"]}
    stock, _ = core_algos.compute_gdpo_outcome_advantage(**arguments, config=config)
    ours = build_rule("gdpo").advantages(batch.rollouts, batch.shaped, batch.shaped.reward).values
    np.testing.assert_allclose(ours[:, None] * arguments["response_mask"].numpy(), stock, rtol=0, atol=1e-3)


@pytest.mark.parametrize("weights", [None, [1.0, 0.5]])
def test_verls_gdpo_gets_our_columns(weights: list[float] | None) -> None:
    batch, arguments = gdpo_case()
    config = {"gdpo_reward_keys": ["task_reward", "length_reward"], "gdpo_reward_weights": weights}
    stock, _ = core_algos.compute_gdpo_outcome_advantage(**arguments, config=config)
    data = proto(batch, arguments["response_mask"].tolist(), list(batch.keys))
    with given(batch):
        got = advantage_step(data, "gdpo", list(batch.keys), gdpo_reward_keys=None, gdpo_reward_weights=weights)
    np.testing.assert_allclose(got, stock, rtol=0, atol=1e-5)


def test_gdpo_takes_final_rows_only_and_gives_all_rows_of_a_response_the_same() -> None:
    batch = batch_of("gdpo", reward=[1.0, 1.0, 0.0, 1.5], length_reward=[0.0, 0.0, 0.0, 0.5])
    with given(batch):
        got = advantage_step(proto(batch), "gdpo", gdpo_reward_keys=["task_reward", "length_reward"])
    # p: +-0.70711 by the task reward, q by the length reward. Over the tokens of the final rows, 3 of q_1, 2 of p_0,
    # 5 of p_1 and 1 of q_0: mean -5 * 0.70711 / 11 = -0.32141,
    # sample std sqrt((11 * 0.5 - 11 * 0.32141^2) / 10) = 0.66058
    check(got, [-0.58388, 1.55700, -0.58388, 1.55700])


def test_gdpo_by_one_column() -> None:
    batch = batch_of("gdpo", reward=[1.0, 1.0, 0.0, 1.5], length_reward=[0.0, 0.0, 0.0, 0.5])
    with given(batch):
        got = advantage_step(proto(batch), "gdpo", gdpo_reward_keys=["length_reward"])
    # -0.707107 on three tokens, 0.707107 on one, 0 on the other seven: mean -0.128565,
    # sample std sqrt((4 * 0.5 - 11 * 0.128565^2) / 10) = 0.426401
    check(got, [-1.356804, 0.301511, 0.301511, 1.959826])


@pytest.mark.parametrize(
    ("algorithm", "message"),
    [
        ({"gdpo_reward_keys": ["length_rewards"]}, "gdpo_reward_keys 'length_rewards'; did you mean 'length_reward'"),
        (
            {"gdpo_reward_weights": [1.0]},
            r"gdpo_reward_weights=\[1\.0\] must hold one weight for each of",
        ),
    ],
)
def test_gdpo_refuses_other_columns_and_missing_weights(algorithm: dict[str, Any], message: str) -> None:
    batch = batch_of("gdpo", reward=[1.0, 1.0, 0.0, 1.5])
    with given(batch), pytest.raises(ValueError, match=message):
        advantage_step(proto(batch), "gdpo", **algorithm)


def test_without_our_batch_gdpo_is_verls_own() -> None:
    _, arguments = gdpo_case()
    config = {"gdpo_reward_keys": ["task_reward", "length_reward"]}
    stock, _ = core_algos.compute_gdpo_outcome_advantage(**arguments, config=config)
    got, _ = ADV_ESTIMATOR_REGISTRY["gdpo"](**arguments, config=config)
    assert torch.equal(got, stock)


def test_verls_v1_trainer_brings_gdpo_none_of_its_columns() -> None:
    batch = batch_of(None, reward=[1.0, 1.0, 0.0, 1.5])
    # what compat.answer_for_gdpo is for
    with pytest.raises(KeyError, match="prompts"):
        advantage_step(proto(batch), "gdpo", gdpo_reward_keys=["task_reward", "length_reward"])

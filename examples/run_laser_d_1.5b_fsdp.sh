#!/usr/bin/env bash
# LASER-D on a 1.5B reasoning model: one node of 8 GPUs, FSDP actor, vLLM rollout, settings of arXiv 2505.15612 (section 5).
# Any knob can be set from outside, and further Hydra overrides follow:
#   TRAIN_FILES=train.parquet VAL_FILES=test.parquet examples/run_laser_d_1.5b_fsdp.sh trainer.total_epochs=1
# METHOD names a preset of configs/method, or any other method of `laser-verl methods`.
# CHECK=1 runs `laser-verl check` on the same arguments instead. Not run on GPUs by us yet.
set -euo pipefail

MODEL=${MODEL:-deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B}
TRAIN_FILES=${TRAIN_FILES:?a verl parquet with reward_model.ground_truth}
VAL_FILES=${VAL_FILES:?a verl parquet with reward_model.ground_truth}
METHOD=${METHOD:-laser_d}
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-16384}
NNODES=${NNODES:-1}
GPUS_PER_NODE=${GPUS_PER_NODE:-8}
CONFIGS=$(cd "$(dirname "${BASH_SOURCE[0]}")/../configs" && pwd)

PROGRAM=(python3 -m verl.trainer.main_ppo)
if [[ ${CHECK:-0} == 1 ]]; then PROGRAM=(laser-verl check); fi

CHOICE=(method="$METHOD")
if [[ ! -f $CONFIGS/method/$METHOD.yaml ]]; then CHOICE=("~method" reward.reward_manager.name="$METHOD"); fi

exec "${PROGRAM[@]}" --config-path="$CONFIGS" --config-name=laser_verl "${CHOICE[@]}" \
  algorithm.adv_estimator=grpo \
  data.train_files="$TRAIN_FILES" data.val_files="$VAL_FILES" \
  data.train_batch_size=128 data.max_prompt_length=1024 data.max_response_length="$MAX_RESPONSE_LENGTH" \
  actor_rollout_ref.model.path="$MODEL" \
  actor_rollout_ref.actor.optim.lr=1e-6 actor_rollout_ref.actor.ppo_mini_batch_size=64 \
  actor_rollout_ref.actor.clip_ratio_low=0.2 actor_rollout_ref.actor.clip_ratio_high=0.28 \
  actor_rollout_ref.actor.use_kl_loss=true actor_rollout_ref.actor.kl_loss_coef=0.001 \
  actor_rollout_ref.actor.kl_loss_type=low_var_kl actor_rollout_ref.actor.entropy_coeff=0.001 \
  actor_rollout_ref.actor.use_dynamic_bsz=true \
  actor_rollout_ref.actor.ppo_max_token_len_per_gpu=$((1024 + MAX_RESPONSE_LENGTH)) \
  actor_rollout_ref.rollout.name=vllm actor_rollout_ref.rollout.n=8 actor_rollout_ref.rollout.temperature=0.6 \
  actor_rollout_ref.rollout.log_prob_use_dynamic_bsz=true actor_rollout_ref.ref.log_prob_use_dynamic_bsz=true \
  trainer.nnodes="$NNODES" trainer.n_gpus_per_node="$GPUS_PER_NODE" \
  trainer.save_freq=10 trainer.test_freq=10 "$@"

#!/usr/bin/env bash
# LASER-D on low-rank adapters of a 7B model: gradients and optimizer of the adapters only, and only these travel to the
# rollout. One node of 8 GPUs.
#
#   TRAIN_FILES=train.parquet VAL_FILES=test.parquet examples/run_laser_d_lora.sh
#
# Its own knobs:
#
#   LORA_RANK      64     at most what vLLM takes (`CHECK=1` knows)
#   LORA_ALPHA     64     the adapters' output is multiplied by LORA_ALPHA / LORA_RANK
#   LEARNING_RATE  1e-5   adapters want about ten times the rate of the whole model
#
# Run by us on CPU, not yet on GPUs.
set -euo pipefail
# shellcheck source=SCRIPTDIR/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

METHOD=${METHOD:-laser_d}
MODEL_PRESET=r1_distill_qwen_7b
MODEL=${MODEL:-$MODEL_PRESET}
BACKEND=${BACKEND:-fsdp}
HARDWARE=${HARDWARE:-1x8}
LORA_RANK=${LORA_RANK:-64}
LORA_ALPHA=${LORA_ALPHA:-64}
LEARNING_RATE=${LEARNING_RATE:-1e-5}

SETTINGS=(
  actor_rollout_ref.model.lora_rank="$LORA_RANK"
  actor_rollout_ref.model.lora_alpha="$LORA_ALPHA"
  actor_rollout_ref.actor.optim.lr="$LEARNING_RATE"
  # the rollout reads the whole weights once, from the model's own files
  actor_rollout_ref.rollout.load_format=safetensors
)

launch "$@"

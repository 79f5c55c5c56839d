#!/usr/bin/env bash
# LASER-D on a reasoning model of 7 billion parameters: Megatron-core through mbridge, vLLM, one node of 8 GPUs, each
# copy of the weights over 4 of them. Needs `pip install 'laser-verl[megatron]'`.
#
#   TRAIN_FILES=train.parquet VAL_FILES=test.parquet HARDWARE=4x8 examples/run_laser_d_7b_megatron.sh
#   MODEL=qwen3_4b examples/run_laser_d_7b_megatron.sh actor_rollout_ref.actor.megatron.tensor_model_parallel_size=2
#
# Run by us on CPU with stand-ins for what needs a GPU (tests/megatron_cpu), not yet on GPUs.
set -euo pipefail
# shellcheck source=SCRIPTDIR/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

METHOD=${METHOD:-laser_d}
MODEL_PRESET=r1_distill_qwen_7b
MODEL=${MODEL:-$MODEL_PRESET}
BACKEND=${BACKEND:-megatron}
HARDWARE=${HARDWARE:-1x8}

launch "$@"

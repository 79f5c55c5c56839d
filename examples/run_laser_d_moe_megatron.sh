#!/usr/bin/env bash
# LASER-D on a mixture of experts, Qwen3-30B-A3B: Megatron-core through mbridge with the experts of a layer spread over
# 8 GPUs, vLLM, 4 nodes of 8 GPUs. Needs `pip install 'laser-verl[megatron]'` and a running Ray cluster (examples/slurm,
# examples/ray, examples/kuberay).
#
#   TRAIN_FILES=train.parquet VAL_FILES=test.parquet examples/run_laser_d_moe_megatron.sh
#
# The miniature model has no experts, so DEVICE=cpu tries the rest of it. Not yet run by us on GPUs.
set -euo pipefail
# shellcheck source=SCRIPTDIR/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

if [[ $DEVICE == cpu ]]; then BACKEND=megatron; fi
METHOD=${METHOD:-laser_d}
MODEL_PRESET=qwen3_30b_a3b
MODEL=${MODEL:-$MODEL_PRESET}
BACKEND=${BACKEND:-megatron_moe}
HARDWARE=${HARDWARE:-4x8}

launch "$@"

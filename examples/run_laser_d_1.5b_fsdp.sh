#!/usr/bin/env bash
# LASER-D on a reasoning model of 1.5 billion parameters: FSDP, vLLM, one node of 8 GPUs, the settings of
# arXiv 2505.15612, section 5. METHOD=kimi trains another method with them.
#
#   TRAIN_FILES=train.parquet VAL_FILES=test.parquet examples/run_laser_d_1.5b_fsdp.sh
#   DEVICE=cpu examples/run_laser_d_1.5b_fsdp.sh
#
# Run by us on CPU, not yet on GPUs.
set -euo pipefail
# shellcheck source=SCRIPTDIR/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

METHOD=${METHOD:-laser_d}
MODEL_PRESET=r1_distill_qwen_1.5b
MODEL=${MODEL:-$MODEL_PRESET}
BACKEND=${BACKEND:-fsdp}
HARDWARE=${HARDWARE:-1x8}

launch "$@"

#!/usr/bin/env bash
# LASER-D with SGLang in place of vLLM: FSDP, one node of 8 GPUs. Needs the SGLang that verl asks for (verl[sglang]).
#
#   TRAIN_FILES=train.parquet VAL_FILES=test.parquet examples/run_laser_d_sglang.sh
#
# SGLang is not part of the CPU stack, so DEVICE=cpu tries the rest of it with vLLM. Not yet run by us on GPUs.
set -euo pipefail
# shellcheck source=SCRIPTDIR/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

METHOD=${METHOD:-laser_d}
MODEL_PRESET=r1_distill_qwen_1.5b
MODEL=${MODEL:-$MODEL_PRESET}
BACKEND=${BACKEND:-fsdp}
HARDWARE=${HARDWARE:-1x8}

if [[ $DEVICE == gpu ]]; then
  SETTINGS=(actor_rollout_ref.rollout.name=sglang)
else
  echo "DEVICE=cpu: vLLM generates in place of SGLang" >&2
fi

launch "$@"

#!/usr/bin/env bash
# LASER-D with verl's asynchronous trainers, so that a few long responses do not hold up a step.
#
#   TRAIN_FILES=train.parquet VAL_FILES=test.parquet examples/run_laser_d_async.sh
#   MODE=separate_async HARDWARE=1x8 ROLLOUT_HARDWARE=1x8 examples/run_laser_d_async.sh      # two nodes in all
#
# Its own knobs:
#
#   MODE          colocate_async   training and generation take turns on the same GPUs; responses go on over steps
#                 separate_async   generation has GPUs of its own, and weights travel to them over NCCL
#   ROLLOUT_HARDWARE  1x8          the nodes and GPUs of these, besides HARDWARE, for separate_async
#
# Run by us on CPU in both modes, not yet on GPUs.
set -euo pipefail
# shellcheck source=SCRIPTDIR/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

METHOD=${METHOD:-laser_d}
MODEL_PRESET=r1_distill_qwen_1.5b
MODEL=${MODEL:-$MODEL_PRESET}
BACKEND=${BACKEND:-fsdp}
HARDWARE=${HARDWARE:-1x8}
MODE=${MODE:-colocate_async}
ROLLOUT_HARDWARE=${ROLLOUT_HARDWARE:-1x8}

SETTINGS=(trainer.v1.trainer_mode="$MODE")
case $MODE in
  colocate_async) ;;
  separate_async)
    is_hardware ROLLOUT_HARDWARE
    SETTINGS+=(
      # updates between two hand-overs of the weights: the prompts of a step over those of an update
      trainer.v1.separate_async.parameter_sync_step=2
      actor_rollout_ref.rollout.nnodes="${ROLLOUT_HARDWARE%x*}"
      actor_rollout_ref.rollout.n_gpus_per_node="${ROLLOUT_HARDWARE#*x}"
    )
    if [[ $DEVICE == gpu ]]; then
      SETTINGS+=(actor_rollout_ref.rollout.checkpoint_engine.backend=nccl)
    else
      SETTINGS+=(actor_rollout_ref.rollout.checkpoint_engine.backend=ray_object_store)
      if [[ ${RAY_ADDRESS:-local} == local ]]; then
        # the Ray that such a run starts has as many devices as both ask for
        SETTINGS+=(ray_kwargs.ray_init.num_gpus=$((${HARDWARE#*x} + ${ROLLOUT_HARDWARE#*x})))
      fi
    fi
    ;;
  *) fail "MODE=$MODE; give colocate_async or separate_async" ;;
esac

launch "$@"

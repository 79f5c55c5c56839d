#!/usr/bin/env bash
# Submit a launcher to a Ray cluster that is running, with this clone's laser_verl on every node of it. Follows the log
# and ends as the training ends.
#
#   RAY_ADDRESS=http://HEAD:8265 OUT=/shared/run_1 TRAIN_FILES=/shared/train.parquet VAL_FILES=/shared/test.parquet \
#     HARDWARE=4x8 examples/ray/submit.sh examples/run_laser_d_moe_megatron.sh trainer.total_epochs=1
#
# Knobs:
#
#   RAY_ADDRESS       the cluster's job server, http://HEAD:8265 (and RAY_AUTH_TOKEN, where it asks for one)
#   OUT               folder that every node sees; checkpoints go there, and the same command goes on from the latest
#   PLUGIN            empty  this clone's laser_verl is sent along; the nodes have what it needs (verl, math-verify, ...)
#                     else what pip installs on each node before the training, with what that needs: a wheel that every
#                            node can read, or git+URL of the repository
#   DRY_RUN=1         print what would be submitted
#
# Any knob of the launcher goes along, and so do its arguments.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
KNOBS=(
  TRAIN_FILES VAL_FILES METHOD MODEL BACKEND HARDWARE OUT CHECK DEVICE
  MODE ROLLOUT_HARDWARE LORA_RANK LORA_ALPHA LEARNING_RATE
)
REGISTER=laser_verl.verl_ext.register

fail() {
  echo "submit.sh: $*" >&2
  exit 2
}

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
  sed -n '1d; /^#/!q; s/^# \{0,1\}//; p' "$0"
  exit
fi
[[ -n ${1:-} ]] || fail "name a launcher, e.g. examples/run_laser_d_7b_megatron.sh; -h says more"
[[ -f $1 ]] || fail "$1 is no file; give a launcher, e.g. examples/run_laser_d_7b_megatron.sh"
LAUNCHER=$(realpath "$1")
[[ $LAUNCHER == "$ROOT"/examples/* ]] || fail "$1 is not in $ROOT/examples, which is what is sent along"
shift
[[ ${OUT:-} == /* ]] || fail "OUT=${OUT:-}; give the absolute path of a folder that every node sees"

# What is sent is small, and every worker has it as its working directory.
SENT=$(mktemp -d)
trap 'rm -rf "$SENT"' EXIT
cp -r "$ROOT/examples" "$ROOT/configs" "$SENT"
if [[ -z ${PLUGIN:-} ]]; then
  cp -r "$ROOT/laser_verl" "$SENT"
  runtime_env="{\"env_vars\": {\"VERL_USE_EXTERNAL_MODULES\": \"$REGISTER\"}}"
else
  plugin=${PLUGIN//\\/\\\\}
  runtime_env="{\"pip\": [\"${plugin//\"/\\\"}\"], \"env_vars\": {\"VERL_USE_EXTERNAL_MODULES\": \"$REGISTER\"}}"
fi
{
  for knob in "${KNOBS[@]}"; do
    if [[ -n ${!knob:-} ]]; then printf 'export %s=%q\n' "$knob" "${!knob}"; fi
  done
  printf 'exec bash %q' "${LAUNCHER#"$ROOT"/}"
  if (($#)); then printf ' %q' "$@"; fi
  echo
} >"$SENT/entrypoint.sh"

if [[ ${DRY_RUN:-0} == 1 ]]; then
  echo "# runtime_env: $runtime_env, and as working directory:" "$(cd "$SENT" && echo *)"
  cat "$SENT/entrypoint.sh"
  exit
fi
[[ -n ${RAY_ADDRESS:-} ]] || fail "RAY_ADDRESS is not set; give the cluster's job server, e.g. http://HEAD:8265"
ray job submit --address "$RAY_ADDRESS" --working-dir "$SENT" --runtime-env-json "$runtime_env" -- bash entrypoint.sh

# Knobs of every launcher:
#
#   TRAIN_FILES  parquet as `laser-verl prepare` writes it; several as a list of Hydra: '[a.parquet,b.parquet]'
#   VAL_FILES    the same, to evaluate on
#   METHOD       a preset of configs/method, or any other method that is installed (`laser-verl methods`)
#   MODEL        a preset of configs/model, or the path or hub name of a checkpoint of about the same size
#   BACKEND      a preset of configs/backend
#   HARDWARE     nodes x GPUs of each, e.g. 2x8; more than one node needs a Ray cluster that runs (RAY_ADDRESS)
#   OUT          folder of the checkpoints; the same command goes on from the latest one in it
#   DRY_RUN=1    print the command, one argument a line, to be pasted and changed, and run nothing
#   CHECK=1      run `laser-verl check` on it, which finds what can be found before a model loads
#   DEVICE=cpu   really train, small: the miniature model and problems of `laser-verl quickstart`, two steps
#
# Arguments are overrides of Hydra and come last: trainer.total_epochs=1. `laser-verl presets` lists the presets.

# Sourced by the launchers after their header; it defines `launch`, which they end with.
# shellcheck shell=bash

EXAMPLES=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=${EXAMPLES%/examples}
CONFIGS=$ROOT/configs
NAME=$(basename "$0" .sh)
NAME=${NAME#run_}

fail() {
  echo "$(basename "$0"): $*" >&2
  exit 2
}

DEVICE=${DEVICE:-gpu}
case $DEVICE in
  gpu) ;;
  cpu)
    MODEL=${MODEL:-tiny_cpu}
    HARDWARE=${HARDWARE:-1x1}
    ROLLOUT_HARDWARE=${ROLLOUT_HARDWARE:-1x1}
    ;;
  *) fail "DEVICE=$DEVICE; give gpu or cpu" ;;
esac

# What a launcher sets besides its knobs.
SETTINGS=()
# Variables of the run.
ENVIRONMENT=()

# The comment at the top of a file, without its marks and its first line if that names the interpreter.
header() {
  sed -n '1{/^#!/d}; /^#/!q; s/^# \{0,1\}//; p' "$1"
}

# A text that Hydra reads as this very text, whatever is in it.
text() {
  local escaped=${1//\\/\\\\}
  printf "'%s'" "${escaped//\'/\\\'}"
}

path() {
  if [[ $1 =~ ^[A-Za-z0-9/._-]+$ ]]; then printf '%s' "$1"; else text "$1"; fi
}

choose_method() {
  if [[ -f $CONFIGS/method/$METHOD.yaml ]]; then
    WORDS+=(method="$METHOD")
    return
  fi
  local record
  record=$(python3 -m laser_verl methods "$METHOD" --json) || fail "METHOD=$METHOD is not known; see above"
  [[ $record == *'"set_by": "reward.reward_manager.name"'* ]] ||
    fail "METHOD=$METHOD is an advantage rule; add algorithm.adv_estimator=$METHOD to the arguments instead"
  WORDS+=("~method" reward.reward_manager.name="$METHOD")
}

choose_model() {
  if [[ -f $CONFIGS/model/$MODEL.yaml ]]; then
    WORDS+=(model="$MODEL")
  else
    if [[ $DEVICE == cpu ]]; then MODEL_PRESET=tiny_cpu; fi
    WORDS+=(model="$MODEL_PRESET" actor_rollout_ref.model.path="$(path "$MODEL")")
  fi
}

choose_backend() {
  local known
  known=$(cd "$CONFIGS/backend" && printf '%s ' *.yaml)
  [[ -f $CONFIGS/backend/$BACKEND.yaml ]] || fail "BACKEND=$BACKEND; give one of: ${known//.yaml/}"
  # without an accelerator FSDP is backend=cpu, which hardware=cpu takes along
  if [[ $DEVICE == gpu || $BACKEND == megatron* ]]; then WORDS+=(backend="$BACKEND"); fi
}

# is_hardware NAME: whether the variable holds nodes x GPUs.
is_hardware() {
  [[ ${!1} =~ ^[1-9][0-9]*x[1-9][0-9]*$ ]] || fail "$1=${!1}; give nodes x GPUs of each, e.g. 2x8"
}

choose_hardware() {
  is_hardware HARDWARE
  if [[ $DEVICE == gpu && -f $CONFIGS/hardware/$HARDWARE.yaml ]]; then
    WORDS+=(hardware="$HARDWARE")
    return
  fi
  if [[ $DEVICE == cpu ]]; then WORDS+=(hardware=cpu); fi
  WORDS+=(trainer.nnodes="${HARDWARE%x*}" trainer.n_gpus_per_node="${HARDWARE#*x}")
}

# Problems, sizes and variables of a run that takes minutes on two cores.
make_small() {
  local options
  options=$(python3 "$EXAMPLES/small_run.py" "$OUT" "$METHOD") || fail "the miniature problems cannot be written"
  TRAIN_FILES=${TRAIN_FILES:-$(path "$OUT/train.parquet")}
  VAL_FILES=${VAL_FILES:-$(path "$OUT/test.parquet")}
  if [[ -n $options ]]; then mapfile -t -O "${#WORDS[@]}" WORDS <<<"$options"; fi
  WORDS+=(
    data.train_batch_size=8 data.max_prompt_length=64 data.max_response_length=96
    actor_rollout_ref.actor.ppo_mini_batch_size=4 actor_rollout_ref.rollout.n=4 actor_rollout_ref.actor.optim.lr=1e-3
    trainer.total_training_steps=2 trainer.val_before_train=false trainer.test_freq=-1 trainer.save_freq=-1
    trainer.rollout_data_dir="$(path "$OUT/rollouts")"
  )
  local variable variables=(
    VERL_PLATFORM=cpu VLLM_CPU_KVCACHE_SPACE=1 HF_HUB_OFFLINE=1 VERL_FILE_LOGGER_PATH="$OUT/metrics.jsonl"
  )
  ENVIRONMENT+=("${variables[@]}" RAY_USAGE_STATS_ENABLED=0)
  if [[ ${RAY_ADDRESS:-local} == local ]]; then
    # not a cluster that somebody else started on this machine
    ENVIRONMENT+=(RAY_ADDRESS=local)
    return
  fi
  # A cluster that runs already decides how much it has, and its workers have an environment of their own.
  WORDS+=(ray_kwargs.ray_init.{num_cpus,num_gpus,include_dashboard}"=null")
  for variable in "${variables[@]}"; do
    WORDS+=("+ray_kwargs.ray_init.runtime_env.env_vars.${variable%%=*}=$(text "${variable#*=}")")
  done
}

# verl's Megatron engine wants an accelerator; the tests of this clone have stand-ins for it.
stand_in_for_gpus() {
  echo "DEVICE=cpu: Megatron-core with stand-ins for what needs a GPU (tests/megatron_cpu), to try the command with" >&2
  local found print='from tests.megatron_cpu import ARGUMENTS, environment; print('
  found=$(cd "$ROOT" && python3 -c "$print*map('='.join, environment().items()), sep='\n')") ||
    fail "BACKEND=$BACKEND cannot be tried on CPU here, see above; CHECK=1 and DRY_RUN=1 work without DEVICE=cpu"
  mapfile -t -O "${#ENVIRONMENT[@]}" ENVIRONMENT <<<"$found"
  found=$(cd "$ROOT" && python3 -c "$print*ARGUMENTS, sep='\n')")
  mapfile -t -O "${#WORDS[@]}" WORDS <<<"$found"
}

show() {
  local word lines=()
  for word in "${COMMAND[@]}"; do
    if [[ ! $word =~ ^[A-Za-z0-9_./:=,@%+-]+$ ]]; then word=${word@Q}; fi
    lines+=("$word")
  done
  printf '%s' "${lines[0]}"
  printf ' \\\n  %s' "${lines[@]:1}"
  printf '\n'
}

# Put the command together and run it, show it, or check it.
launch() {
  if [[ ${1:-} == -h || ${1:-} == --help ]]; then
    header "$0"
    echo
    header "${BASH_SOURCE[0]}"
    return
  fi
  WORDS=(--config-path="$CONFIGS" --config-name=laser_verl)
  choose_method
  choose_model
  choose_backend
  choose_hardware
  local experiment=${METHOD}_${NAME#laser_d_}
  OUT=$(realpath -m "${OUT:-laser_runs/$experiment}")
  if [[ $DEVICE == cpu ]]; then make_small; fi
  if [[ $DEVICE == cpu && $BACKEND == megatron* ]]; then stand_in_for_gpus; fi
  local name
  for name in TRAIN_FILES VAL_FILES; do
    [[ -n ${!name:-} ]] || fail "$name is not set; give a verl parquet, as \`laser-verl prepare\` writes it, or DEVICE=cpu"
  done
  WORDS+=(
    paper=common/laser
    data.train_files="$TRAIN_FILES" data.val_files="$VAL_FILES"
    trainer.experiment_name="$experiment" trainer.default_local_dir="$(path "$OUT/checkpoints")"
    hydra.run.dir="$(path "$OUT/hydra")"
    "${SETTINGS[@]}" "$@"
  )
  COMMAND=(python3 -m verl.trainer.main_ppo "${WORDS[@]}")
  if [[ ${CHECK:-0} == 1 ]]; then COMMAND=(python3 -m laser_verl check "${WORDS[@]}"); fi
  if ((${#ENVIRONMENT[@]})); then COMMAND=(env "${ENVIRONMENT[@]}" "${COMMAND[@]}"); fi
  if [[ ${DRY_RUN:-0} == 1 ]]; then show; else exec "${COMMAND[@]}"; fi
}

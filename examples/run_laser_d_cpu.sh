#!/usr/bin/env bash
# LASER-D on this computer, without an accelerator: the miniature model and problems of `laser-verl quickstart`, with the
# trainer, the reward workers and the checkpoints of a large run. 20 steps take some minutes on two cores.
#
#   examples/run_laser_d_cpu.sh
#   METHOD=kimi examples/run_laser_d_cpu.sh trainer.total_training_steps=50
#
# As DEVICE=cpu of any launcher; the command is a start for trying options. `laser-verl quickstart` shows a whole
# training with evaluation and picture.
set -euo pipefail
DEVICE=cpu
# shellcheck source=SCRIPTDIR/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

METHOD=${METHOD:-laser_d}
BACKEND=cpu
SETTINGS=(trainer.total_training_steps=20 trainer.save_freq=10)

launch "$@"

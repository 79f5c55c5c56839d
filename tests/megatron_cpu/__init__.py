"""verl's Megatron engine on a machine without an accelerator, for tests only: nothing of the package imports this.

`environment()` is what a run needs in its environment. It puts megatron-core and mbridge, which live in a folder of
their own so that no other run sees them, on the path, and names `tests.megatron_cpu.hooks` as an external module of
verl, which every process of the run then imports with verl. `ARGUMENTS` are the settings under which it runs.

The modules: `source` rewrites CUDA in the source of megatron-core and mbridge at import, `stand_ins` replaces what
needs TransformerEngine or an accelerator, `hooks` puts both in place.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = Path(sys.prefix) / "megatron"  # `make setup` puts requirements/megatron.txt there

ARGUMENTS = (
    "hardware=cpu",
    "backend=megatron",
    # mbridge; Megatron-Bridge imports TransformerEngine
    "actor_rollout_ref.actor.megatron.vanilla_mbridge=true",
    "actor_rollout_ref.actor.megatron.override_transformer_config.attention_backend=unfused",
    "actor_rollout_ref.actor.use_torch_compile=false",
    # there is one memory
    "actor_rollout_ref.actor.megatron.param_offload=false",
    "actor_rollout_ref.actor.megatron.optimizer_offload=false",
)


def environment() -> dict[str, str]:
    """The variables that a run on verl's Megatron engine needs beside those of any run on CPU.

    Raises:
        FileNotFoundError: If the packages are not installed.
    """
    if not (PACKAGES / "megatron").is_dir():
        raise FileNotFoundError(f"{PACKAGES} has no megatron-core; `make setup` installs it there")
    return {
        "PYTHONPATH": os.pathsep.join((str(REPOSITORY), str(PACKAGES))),
        "VERL_USE_EXTERNAL_MODULES": "tests.megatron_cpu.hooks",
    }

"""verl on a machine without an accelerator: a platform named ``cpu``.

Selected by ``VERL_PLATFORM=cpu``. Ray still counts logical devices under its resource name ``GPU`` (start it with
``+ray_kwargs.ray_init.num_gpus=N``), because ``ray.get_accelerator_ids`` knows the names of real accelerators only.
"""

from __future__ import annotations

import os
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import wrapt
from verl.plugin.platform import PlatformBase, PlatformRegistry

from laser_verl.verl_ext import compat

_LOGICAL_MEMORY_BYTES = 16 << 30


def _cpu_device_module() -> types.ModuleType:
    """``torch.cpu`` with the functions added that verl calls on a device module and that ``torch.cpu`` lacks.

    Each line names a caller in verl 0.9.1 that fails without it.
    """
    module = types.ModuleType("laser_verl_torch_cpu")
    module.__dict__.update({name: value for name, value in vars(torch.cpu).items() if not name.startswith("__")})
    zero = lambda *args, **kwargs: 0  # noqa: E731
    nothing = lambda *args, **kwargs: None  # noqa: E731
    module.__dict__.update(
        # verl/utils/memory_utils.py, workers/engine/fsdp/transformer_impl.py, workers/engine_workers.py
        empty_cache=nothing,
        # workers/rollout/vllm_rollout/bucketed_weight_transfer.py
        ipc_collect=nothing,
        # verl/utils/memory_utils.py and utils/profiler/performance.py (log_gpu_memory_usage)
        memory_allocated=zero,
        memory_reserved=zero,
        max_memory_allocated=zero,
        max_memory_reserved=zero,
        reset_peak_memory_stats=nothing,
        mem_get_info=lambda *args: (_LOGICAL_MEMORY_BYTES, _LOGICAL_MEMORY_BYTES),
        # verl/utils/flops_counter.py
        get_device_name=lambda *args: "cpu",
        # workers/engine/fsdp/transformer_impl.py: `.to(current_device())`, where 0 would mean an accelerator
        current_device=lambda: torch.device("cpu"),
        # verl/single_controller/base/worker.py
        device_count=lambda: 1,
        # verl/utils/checkpoint/checkpoint_manager.py (get_rng_state, load_rng_state)
        get_rng_state=lambda *args: torch.get_rng_state(),
        set_rng_state=lambda state, *args: torch.set_rng_state(state),
        manual_seed=torch.manual_seed,
        manual_seed_all=torch.manual_seed,
    )
    return module


class PlatformCPU(PlatformBase):
    """The host's processor as the one device of each worker; collectives over gloo, weights over shared memory."""

    def __init__(self) -> None:
        """Build the stand-in for ``torch.cuda`` once."""
        self._device_module = _cpu_device_module()

    @property
    def device_name(self) -> str:
        """Name that torch gives the device."""
        return "cpu"

    @property
    def vendor_name(self) -> str:
        """No engine of verl is registered for this vendor, so the lookup falls back to the device's."""
        return "cpu"

    @property
    def device_module(self) -> types.ModuleType:
        """What verl uses in place of ``torch.cuda``."""
        return self._device_module

    def is_available(self) -> bool:
        """A processor is always there."""
        return True

    def is_platform_available(self, use_smi_check: bool = False) -> bool:
        """Never picked by detection: only ``VERL_PLATFORM=cpu`` selects it."""
        return False

    def current_device(self) -> torch.device:  # type: ignore[override]
        """A device object: verl passes it to ``.to()``, where the index 0 would mean an accelerator."""
        return torch.device("cpu")

    def device_count(self) -> int:
        """One device per worker process."""
        return 1

    def set_device(self, device_index: int) -> None:
        """There is one device only."""

    def synchronize(self, device_index: int | None = None) -> None:
        """Work on the processor is synchronous."""

    def manual_seed(self, seed: int) -> None:
        """Seed torch."""
        torch.manual_seed(seed)

    def manual_seed_all(self, seed: int) -> None:
        """Seed torch."""
        torch.manual_seed(seed)

    def set_allocator_settings(self, settings: str) -> None:
        """The host allocator has no such settings."""

    def empty_cache(self) -> None:
        """The host allocator keeps no cache."""

    def get_device_capability(self, device_index: int = 0) -> tuple[int | None, int | None]:
        """Compute capability is a notion of accelerators."""
        return (None, None)

    def communication_backend_name(self) -> str:
        """Collectives of torch on the host."""
        return "gloo"

    def visible_devices_envvar(self) -> str:
        """The variable that Ray sets for its resource ``GPU``; nothing reads it here."""
        return "CUDA_VISIBLE_DEVICES"

    def ray_resource_name(self) -> str:
        """Logical devices are counted under Ray's ``GPU``."""
        return "GPU"

    def ray_noset_envvars(self) -> list[str]:
        """Ray may set what it likes."""
        return []

    def is_ipc_supported(self) -> bool:
        """No device memory to share, so weights travel through shared memory of the host."""
        return False

    @contextmanager
    def nvtx_range(self, msg: str) -> Iterator[None]:
        """No profiler ranges."""
        yield

    def profiler_start(self) -> None:
        """No device profiler."""

    def profiler_stop(self) -> None:
        """No device profiler."""

    def cudart(self) -> Any:
        """No CUDA runtime."""
        return None


def register() -> list[str]:
    """Make ``VERL_PLATFORM=cpu`` known to verl, with the changes to verl that the platform needs."""
    PlatformRegistry.register(platform="cpu")(PlatformCPU)
    # verl registers its FSDP engines for cuda and npu; they run on the processor unchanged.
    os.environ.setdefault("VERL_ENGINE_DEVICE", "cuda")
    compat.answer_version_of_vllm()
    wrapt.when_imported("verl.utils.distributed")(compat.use_one_gloo_backend)
    wrapt.when_imported("verl.workers.engine.fsdp.transformer_impl")(compat.offload_without_pinned_memory)
    wrapt.when_imported("verl.utils.model")(compat.read_critics_without_flash_attention)
    return ["cpu"]


REGISTERED = register()

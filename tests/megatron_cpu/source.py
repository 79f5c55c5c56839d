"""CUDA in the source of megatron-core and mbridge, rewritten while they are imported.

Both name CUDA in literals, at import and in the middle of functions. To patch `torch.cuda` itself would change every
other library of the process (it corrupted models of transformers), so these two packages get a `torch.cuda` of their
own, `torch.megatron_cpu`, by name.
"""

from __future__ import annotations

import importlib.machinery
import re
import sys
import types
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch

PACKAGES = ("megatron", "mbridge")

_REWRITES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        # torch.jit's fuser is switched on at the end of megatron/core/jit.py
        (r"(?m)^enable_jit_fuser\(\)", "disable_jit_fuser()"),
        # torch.cuda.FloatTensor
        (r"torch\.cuda\.(\w+Tensor)\b", r"torch.\1"),
        # torch.device("cuda"), torch.device(f"cuda:{i}"), torch.device("cuda", i)
        (r"""torch\.device\(\s*(f?)(['"])cuda[^'"]*\2(?:,\s*(?:[^()]|\([^()]*\))*)?\)""", 'torch.device("cpu")'),
        # device="cuda"
        (r"""device\s*=\s*(f?)(['"])cuda[^'"]*\2""", 'device="cpu"'),
        # tensor.cuda(), tensor.cuda(torch.cuda.current_device())
        (r"\.cuda\((?:[^()]|\(\))*\)", ".cpu()"),
        # what is left of torch.cuda, imports apart
        (r"(?<!from )(?<!import )\btorch\.cuda\b(?=\.)", "torch.megatron_cpu"),
    )
)


class _Nothing:
    """A stream or an event: everything may be asked of it, and nothing happens."""

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: self

    def __enter__(self) -> _Nothing:
        return self

    def __exit__(self, *error: object) -> None: ...


class _Cuda(types.ModuleType):
    """`torch.cuda` with one device that is the processor; what is not here is torch's own."""

    Stream = Event = _Nothing
    is_available = staticmethod(lambda: False)
    device_count = staticmethod(lambda: 1)
    current_device = staticmethod(lambda: torch.device("cpu"))
    get_device_capability = staticmethod(lambda *args: (0, 0))
    current_stream = default_stream = staticmethod(lambda *args: _Nothing())
    stream = staticmethod(lambda *args: nullcontext())
    synchronize = empty_cache = set_device = staticmethod(lambda *args, **kwargs: None)
    memory_allocated = max_memory_allocated = memory_reserved = staticmethod(lambda *args: 0)
    manual_seed = staticmethod(torch.manual_seed)
    get_rng_state = staticmethod(lambda *args, **kwargs: torch.get_rng_state())
    set_rng_state = staticmethod(lambda state, *args, **kwargs: torch.set_rng_state(state))

    def __getattr__(self, name: str) -> Any:
        return getattr(torch.cuda, name)


class _Loader(importlib.machinery.SourceFileLoader):
    def get_code(self, fullname: str) -> types.CodeType:
        path = self.get_filename(fullname)
        original = rewritten = self.get_data(path).decode()
        for pattern, replacement in _REWRITES:
            rewritten = pattern.sub(replacement, rewritten)
        try:
            return compile(rewritten, path, "exec", dont_inherit=True)
        except SyntaxError:  # one file of megatron-fsdp, which is not used
            return compile(original, path, "exec", dont_inherit=True)


class _Finder:
    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] not in PACKAGES:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


def rewrite() -> None:
    """Rewrite what is imported of these packages from now on, in this process."""
    imported = [name for name in PACKAGES if f"{name}.core" in sys.modules]
    assert not imported, f"{imported} imported before CUDA was taken out"
    torch.megatron_cpu = _Cuda("torch.megatron_cpu")
    sys.meta_path.insert(0, _Finder())

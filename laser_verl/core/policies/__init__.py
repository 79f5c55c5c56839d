"""Sampling policies, which prompts come next, one small file each.

Each file of this folder registers its policies when it is imported, and all are imported here.
"""

from __future__ import annotations

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

"""Group weights and advantage rules, one small file each; they compose with any length reward.

Each file of this folder registers its rules when it is imported, and all are imported here.
"""

from __future__ import annotations

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

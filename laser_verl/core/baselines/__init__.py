"""The other length rewards of the field, one file per published family, in the frame R = C + lambda * S.

Each file of this folder registers its methods when it is imported, and all are imported here.
"""

from __future__ import annotations

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

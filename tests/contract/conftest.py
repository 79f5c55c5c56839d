from __future__ import annotations

import os

# before any test imports verl: there is no accelerator to be found on the machines that run these tests
os.environ.setdefault("VERL_PLATFORM", "cpu")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

"""What the installed plugin adds to `import verl`, with it and without it in turn.

Run: python benchmarks/import_time.py
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

ROUNDS = 5
CODE = "import time; start = time.perf_counter(); import verl; print(time.perf_counter() - start)"
OURS = (
    "import sys, verl, time; [sys.modules.pop(name) for name in list(sys.modules) if name.startswith('laser_verl')];"
    "start = time.perf_counter(); import laser_verl.verl_ext.register; print(time.perf_counter() - start)"
)


def seconds(code: str, policy: str) -> float:
    """What the code prints, in a fresh interpreter under a plugin policy of verl."""
    variables = {**os.environ, "VERL_USE_EXTERNAL_PLUGINS": policy, "VERL_PLATFORM": "nvidia"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=variables, check=True)
    return float(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure and print."""
    seconds(CODE, "auto")  # fills the disk cache
    with_plugin, without = [], []
    for _ in range(ROUNDS):
        with_plugin.append(seconds(CODE, "auto"))
        without.append(seconds(CODE, "none"))
    ours = [seconds(OURS, "none") for _ in range(ROUNDS)]
    print(
        f"import verl: {statistics.median(with_plugin):.2f} s with the plugin, "
        f"{statistics.median(without):.2f} s without"
    )
    print(f"the plugin's own import: {statistics.median(ours):.3f} s (median of {ROUNDS})")


if __name__ == "__main__":
    main()

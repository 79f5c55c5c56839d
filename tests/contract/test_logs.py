"""What we say is seen, once, whatever happened to the root logger."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import logging
logging.basicConfig(format="root:%(message)s", level=logging.WARNING)
logging.root.handlers[0].setLevel({level})
from laser_verl.verl_ext.logs import keep_messages
logger = logging.getLogger("laser_verl.some.part")
keep_messages(logging.getLogger("laser_verl"))
keep_messages(logging.getLogger("laser_verl"))
logger.info("restored")
logger.error("lost")
"""


@pytest.mark.parametrize(
    ("level", "lines"),
    [("logging.ERROR", ["restored", "root:lost"]), ("logging.NOTSET", ["root:restored", "root:lost"])],
)
def test_a_message_is_seen_once(level: str, lines: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(level=level)], capture_output=True, text=True, check=True, timeout=60
    )
    shown = [line if line.startswith("root:") else line.rpartition(":")[2] for line in done.stderr.splitlines()]
    assert shown == lines

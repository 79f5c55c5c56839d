"""A copy of the state where verl copies checkpoints to (``trainer.default_hdfs_dir``)."""

from __future__ import annotations

import logging
from pathlib import Path

from verl.utils import hdfs_io

from laser_verl.core.state import NAME

logger = logging.getLogger(__name__)


def copy_state(folder: Path, remote: str) -> None:
    """Copy a step's ``laser_state``; what goes wrong is logged, for the local file is what a run resumes from.

    Args:
        folder: of the step, on this machine.
        remote: of the step, there; ``hdfs://…``, or a path.
    """
    try:
        hdfs_io.makedirs(remote, exist_ok=True)
        hdfs_io.copy(str(folder / NAME), f"{remote}/{NAME}")
    except Exception as error:  # a file system of its own kind may raise anything
        logger.warning("laser_verl: %s/%s could not be written: %s", remote, NAME, error)

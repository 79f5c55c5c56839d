"""Our messages, which stay visible whatever imports do to the root logger."""

from __future__ import annotations

import logging


class Unheard(logging.StreamHandler):
    """Writes to standard error what no handler of the root logger would write.

    Something that verl's trainer imports raises the root logger's handler to ERROR; verl keeps its own messages from
    that (``verl.utils.logging_utils.configure_verl_logging``), and this does for ours.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, unless somebody else does."""
        if not any(record.levelno >= handler.level for handler in logging.root.handlers):
            super().emit(record)


def keep_messages(logger: logging.Logger) -> None:
    """Show what a logger says from INFO on, in verl's format."""
    logger.setLevel(logging.INFO)
    handler = Unheard()
    handler.setFormatter(logging.Formatter("%(levelname)s:%(asctime)s:%(message)s"))
    logger.handlers = [handler]

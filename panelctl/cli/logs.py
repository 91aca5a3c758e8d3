"""How long-running commands log: text for people and the journal, or one JSON object a line."""

from __future__ import annotations

import datetime
import logging
import sys
from collections.abc import Callable
from typing import Any

import click
import orjson

TEXT = "%(levelname)s %(name)s: %(message)s"
FORMATS = ("text", "json")


class JsonLines(logging.Formatter):
    """`time` (UTC), `level`, `logger`, `message`, and the `fields` that a message was given."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging."""
        at = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        plain = {
            "time": at.isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            plain["exception"] = self.formatException(record.exc_info)
        try:
            return orjson.dumps(plain).decode()
        except TypeError:  # a path of odd bytes, say: better told badly than not at all
            return orjson.dumps({**plain, "message": ascii(plain["message"])}, str).decode()


def log_to_stderr(form: str) -> None:
    """Log what is told from here on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else logging.Formatter(TEXT))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("pymodbus").setLevel(logging.ERROR)


def log_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """The option `--log`."""
    return click.option(
        "--log",
        "log_form",
        type=click.Choice(FORMATS),
        default="text",
        show_default=True,
        help="What is told on stderr: lines for people, or one JSON object a line.",
    )(function)

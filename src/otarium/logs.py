"""Log lines on stderr: for people as text, for machines as one JSON object per line.

Every line tells the request it belongs to. Control characters of a message are written as escapes, so that
nothing from outside begins a line of its own.
"""

import json
import logging
import logging.config
import time
from typing import Any

from otarium.services.ports_watch import request_id


def configure(form: str) -> dict[str, Any]:
    """Set up logging in this process; answers the same for processes that the web server makes."""
    config: dict[str, Any] = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": JsonLines if form == "json" else TextLines}},
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": "line", "stream": "ext://sys.stderr"}
        },
        "root": {"level": "INFO", "handlers": ["stderr"]},
        "loggers": {"alembic": {"level": "WARNING"}, "_granian": {"level": "WARNING"}},
    }
    logging.config.dictConfig(config)
    _tell_less()
    return config


def _tell_less() -> None:
    """No line says what is looked up here for each of them (as the HOWTO of `logging` has it)."""
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


class TextLines(logging.Formatter):
    """`2026-05-04 12:00:00,123 INFO otarium.access: GET ... [request id]`"""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = _one_line(record.message)
        asked = request_id.get()
        return super().formatMessage(record) + (f" [{asked}]" if asked else "")


class JsonLines(logging.Formatter):
    """time (UTC), level, logger, message; requestId, fields of the line and exception where there are."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if asked := request_id.get():
            line["requestId"] = asked
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def _one_line(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)

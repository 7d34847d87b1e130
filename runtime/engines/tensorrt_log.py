"""TensorRT's log, kept instead of printed, so that its errors can be told in one line."""

from types import ModuleType
from typing import Any


def collecting_logger(trt: ModuleType) -> Any:
    """A logger for the TensorRT module ``trt`` whose ``errors`` lists what went wrong, oldest first."""

    class CollectingLogger(trt.ILogger):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                self.errors.append(message.strip())

    return CollectingLogger()

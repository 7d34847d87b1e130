"""A translation that an engine works on while its caller does something else."""

import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from core.frames import Frame


class UnderWay:
    """What ``Engine.submit`` gives, a ``runtime.translating.Pending``. Any thread may wait for it, and several may."""

    def __init__(self, start: Callable[[], Callable[[], NDArray[np.uint8]]]) -> None:
        """Begin.

        Args:
            start: begins the inference and gives what waits for it and copies its frames out; called here. What
                either of the two raises comes out of ``result``.
        """
        self._lock = threading.Lock()
        self._frames: NDArray[np.uint8] | None = None
        self._error: Exception | None = None
        self._wait: Callable[[], NDArray[np.uint8]] | None = None
        try:
            self._wait = start()
        except Exception as error:  # the caller is told when it asks for the result
            self._error = error

    def finish(self) -> None:
        """Wait until the engine needs nothing of this any more; its frames, or its error, are kept here."""
        with self._lock:
            if self._wait is None:
                return
            try:
                self._frames = self._wait()
            except Exception as error:  # as above
                self._error = error
            self._wait = None  # and with it the frames that went in

    def frames(self) -> NDArray[np.uint8]:
        """Wait for the translations, ``uint8 [batch, H, W, 3]`` BGR, and raise what the inference raised."""
        self.finish()
        if self._error is not None:
            raise self._error
        assert self._frames is not None, "it is finished"
        return self._frames

    def result(self) -> Frame:
        """Wait for the translation, ``uint8 [H, W, 3]`` BGR, and raise what the inference raised."""
        translation: Frame = self.frames()[0]
        return translation

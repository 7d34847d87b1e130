"""The live window."""

import os
import socket
import sys
import time
from pathlib import Path
from typing import Final

import cv2

from core.errors import SinkError
from runtime.overlay import RecentRate, draw_overlay
from runtime.sinks import Picture, VideoSink

TITLE: Final = "pix2pix-edge - q quits"
MIN_SIDE: Final = 512
"""A small picture's window opens enlarged by a whole factor, up to this height in pixels."""

QUIT_KEYS: Final = frozenset({ord("q"), ord("Q"), 27})
NO_KEY: Final = -1
X11_PORT: Final = 6000
ADVICE: Final = "add --no-show, and --output out.mp4 to keep the pictures"


class WindowSink(VideoSink):
    """A window with frame rate and latency in its corner; ``q``, Esc or closing it ends the stream.

    To be used from the main thread only.
    """

    def __init__(self, *, fps: float | None = None, hold: bool = False) -> None:
        """The window appears with the first picture.

        Args:
            fps: show pictures no faster than this; default: as they come.
            hold: keep every picture until a key is pressed.

        Raises:
            SinkError: if there is no display, or an OpenCV without windows.
        """
        check_display()
        self._period = 1 / fps if fps else 0.0
        self._hold = hold
        self._rate = RecentRate()
        self._open = False
        self._key = NO_KEY
        self._due = 0.0
        self._held = False

    def write(self, picture: Picture) -> None:
        """Show one picture."""
        now = time.monotonic()
        self._rate.add(picture.captured_ns)
        frame = picture.frame if self._hold else draw_overlay(picture.frame, self._rate.text)
        try:
            if not self._open:
                height, width = frame.shape[:2]
                enlarged = max(1, MIN_SIDE // height)
                cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
                cv2.resizeWindow(TITLE, width * enlarged, height * enlarged)
                self._open = True
            cv2.imshow(TITLE, frame)
            self._key = cv2.waitKey(1)  # also has the window drawn
        except cv2.error as error:
            raise SinkError(f"the window cannot be shown ({error.err or error}): {ADVICE}") from error
        self._held = self._hold
        # From when this one's turn came, not from when it was drawn: drawing takes time and would slow the film down.
        self._due = max(self._due, now) + self._period

    @property
    def busy(self) -> bool:
        """Whether the last picture is to stay for longer."""
        return self._open and (self._held or time.monotonic() < self._due)

    def poll(self) -> bool:
        """Let the window react; whether its user wants to end."""
        if not self._open:
            return False
        key, self._key = self._key, NO_KEY
        if key == NO_KEY:
            left_ms = 10 if self._held else round((self._due - time.monotonic()) * 1000)
            key = cv2.waitKey(min(10, left_ms)) if left_ms >= 1 else cv2.pollKey()
        if key != NO_KEY:
            self._held = False
        return key & 0xFF in QUIT_KEYS or not _is_visible()

    def close(self) -> None:
        """Close the window."""
        if self._open:
            self._open = False
            if _is_visible():
                cv2.destroyWindow(TITLE)

    def abort(self) -> None:
        """Close the window."""
        self.close()


def _is_visible() -> bool:
    try:
        return cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) >= 1
    except cv2.error:  # Qt has left together with its last window
        return False


def check_display() -> None:
    """Find out beforehand whether a window can be opened: Qt ends the whole process where it cannot.

    Raises:
        SinkError: naming what is missing.
    """
    if cv2.currentUIFramework() == "":
        raise SinkError(f"this OpenCV is the headless one, without windows: {ADVICE}")
    if sys.platform != "linux":
        return
    display = os.environ.get("DISPLAY", "")
    if display:
        if not _answers(display):
            raise SinkError(f"the display {display} does not answer: {ADVICE}")
    elif not os.environ.get("WAYLAND_DISPLAY"):
        raise SinkError(f"there is no display to show a window on: {ADVICE}")
    elif not _has_wayland_plugin():
        raise SinkError(f"this OpenCV's window needs X11 (XWayland) and DISPLAY is not set: {ADVICE}")


def _answers(display: str) -> bool:
    """Whether something listens at an X11 display such as ``:0``, ``:0.0`` or ``host:10``."""
    host, _, rest = display.rpartition(":")
    number = rest.partition(".")[0]
    if not number.isdecimal():
        return False
    try:
        if host in ("", "unix"):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(f"/tmp/.X11-unix/X{number}")
        else:
            socket.create_connection((host, X11_PORT + int(number)), timeout=2).close()
    except OSError:
        return False
    return True


def _has_wayland_plugin() -> bool:
    """Whether OpenCV's bundled Qt (its Linux wheels bring one) has more than X11; a system's own build is trusted."""
    plugins = Path(cv2.__file__).parent / "qt" / "plugins" / "platforms"
    return not plugins.is_dir() or any(plugins.glob("libqwayland*"))

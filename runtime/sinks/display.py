"""Whether a window can be opened here at all, and the few calls of OpenCV that one needs."""

import os
import socket
import sys
from pathlib import Path
from typing import Final

import cv2

from core.errors import SinkError
from core.frames import Frame, Size, resize

X11_PORT: Final = 6000
ADVICE: Final = "add --no-show, and --output out.mp4 to keep the pictures"
MIN_SIDE: Final = 512
"""A small picture is shown enlarged by a whole factor, up to this height in pixels; text is then written sharply."""


class Display:
    """OpenCV's window, from the main thread only; tests put another one in its place."""

    def __init__(self, title: str) -> None:
        """Raise ``SinkError`` if there is no display, or an OpenCV without windows."""
        check_display()
        self._title = title

    def open(self, height: int, width: int) -> None:
        """Open the window for pictures of that size, or give it another size."""
        cv2.namedWindow(self._title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        cv2.resizeWindow(self._title, width, height)

    def show(self, frame: Frame) -> None:
        """Show ``frame``; it is drawn when ``key`` is called next."""
        cv2.imshow(self._title, frame)

    def key(self, milliseconds: int) -> int:
        """The key pressed within that time, -1 for none; the window reacts meanwhile."""
        return cv2.waitKey(milliseconds) if milliseconds >= 1 else cv2.pollKey()

    @property
    def visible(self) -> bool:
        """Whether the window is still there."""
        try:
            return cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1
        except cv2.error:  # Qt has left together with its last window
            return False

    def close(self) -> None:
        """Close the window, if it is still there."""
        if self.visible:
            cv2.destroyWindow(self._title)


def enlarge(frame: Frame) -> Frame:
    """``frame`` itself, or a small one as large as it is shown."""
    height, width = frame.shape[:2]
    factor = MIN_SIDE // height
    return resize(frame, Size(height * factor, width * factor)) if factor > 1 else frame


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

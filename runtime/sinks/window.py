"""The live window, and its keys."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

import cv2

from core.errors import EdgeError, SinkError
from core.frames import Frame, write_image
from runtime.overlay import AMBER, KEEP, RED, WHITE, Line, RecentRate, draw_overlay
from runtime.sinks.base import Picture, VideoSink
from runtime.sinks.display import ADVICE, Display, enlarge
from runtime.sinks.video_file import VideoFileSink

KEYS: Final = "q quits, h lists the keys"
TITLE: Final = f"pix2pix-edge - {KEYS}"
QUIT_KEYS: Final = frozenset({ord("q"), 27})
NO_KEY: Final = -1
MESSAGE_SECONDS: Final = 2.5
HELP: Final = ", ".join(
    f"{key}{KEEP}{meaning.replace(' ', KEEP)}"
    for key, meaning in {
        "q": "quit",
        "space": "pause",
        "b": "side by side",
        "s": "snapshot",
        "r": "record",
        "o": "overlay",
        "n": "next artifact",
        "h": "this list",
    }.items()
)
HELP_SECONDS: Final = 8.0


class WindowSink(VideoSink):
    """A window with frame rate and latency in its corner, from the main thread only.

    ``q``, Esc or closing it ends the stream; ``HELP`` lists the other keys.
    """

    def __init__(
        self,
        *,
        fps: float | None = None,
        hold: bool = False,
        live: bool = False,
        side_by_side: bool = False,
        next_artifact: Callable[[], None] | None = None,
        folder: Path = Path(),
        title: str = TITLE,
        display: Display | None = None,
    ) -> None:
        """The window appears with the first picture.

        Args:
            fps: show pictures no faster than this; default: as they come.
            hold: keep every picture until a key is pressed.
            live: while the user pauses, the stream goes on; else it waits.
            side_by_side: begin with what the generator saw beside its translation.
            next_artifact: called when the user wants another artifact.
            folder: where snapshots and recordings go.
            title: of the window.
            display: what shows the pictures; default: OpenCV's window.

        Raises:
            SinkError: if there is no display, or an OpenCV without windows.
        """
        self._display = display or Display(title)
        self._fps = fps
        self._period = 1 / fps if fps else 0.0
        self._hold = hold
        self._live = live
        self._side_by_side = side_by_side
        self._next_artifact = next_artifact
        self._folder = folder
        self._rate = RecentRate()
        self._open = False
        self._shape: tuple[int, ...] = ()
        self._due = 0.0
        self._key = NO_KEY
        self._held = False
        self._paused = False
        self._overlay = not hold
        self._notice: str | None = None
        self._message, self._message_until = "", 0.0
        self._picture: Picture | None = None
        self._recording: VideoFileSink | None = None

    def write(self, picture: Picture) -> None:
        """Show one picture, and record it if the user does."""
        now = time.monotonic()
        self._rate.add(picture.captured_ns)
        self._record(picture)
        if not (self._paused and self._live):
            self._picture = picture
            self._draw()
        self._held = self._hold
        # From when this one's turn came, not from when it was drawn: drawing takes time and would slow the film down.
        self._due = max(self._due, now) + self._period

    @property
    def busy(self) -> bool:
        """Whether the last picture is to stay for longer."""
        if not self._open:
            return False
        return self._held or (self._paused and not self._live) or time.monotonic() < self._due

    def poll(self) -> bool:
        """Let the window react; whether its user wants to end."""
        if not self._open:
            return False
        key, self._key = self._key, NO_KEY
        if key == NO_KEY:
            waiting = self._held or self._paused
            left_ms = 10 if waiting else round((self._due - time.monotonic()) * 1000)
            key = self._display.key(min(10, left_ms))
        if self._message and time.monotonic() > self._message_until:
            self._message = ""
            self._draw()
        if key == NO_KEY:
            return not self._display.visible
        key &= 0xFF
        wants_end = ord(chr(key).lower()) in QUIT_KEYS
        if not wants_end and not self._obey(chr(key).lower()):
            self._held = False  # any other key shows the next picture
        return wants_end or not self._display.visible

    def notice(self, text: str | None) -> None:
        """Show ``text`` over the picture until there is another one, or None."""
        self._notice = text
        if self._open:
            self._draw()

    def close(self) -> None:
        """Close the window, and finish the recording.

        Raises:
            SinkError: if the recording cannot be finished.
        """
        if self._open:
            self._open = False
            self._display.close()
        if self._recording is not None:
            recording, self._recording = self._recording, None
            recording.close()

    def abort(self) -> None:
        """Close the window; what was recorded is finished all the same, if that can be done."""
        try:
            self.close()
        except SinkError:
            return  # the stream ends with another error already, which is the one to be told

    def _obey(self, key: str) -> bool:
        """Do what ``key`` stands for; False if that is nothing."""
        match key:
            case " ":
                if self._hold:
                    return False
                self._paused = not self._paused
            case "b":
                if self._recording is not None:
                    self._say("stop the recording first (r): its pictures have one size")
                else:
                    self._side_by_side = not self._side_by_side
            case "s":
                self._snapshot()
            case "r":
                self._toggle_recording()
            case "o":
                self._overlay = not self._overlay
            case "n":
                if self._next_artifact is None:
                    self._say("there is no other artifact")
                else:
                    self._next_artifact()
                    self._say("loading the next artifact")
            case "h" | "?":
                self._say(HELP, HELP_SECONDS)
            case _:
                return False
        self._draw()
        return True

    def _shown(self, picture: Picture) -> Frame:
        return picture.beside() if self._side_by_side else picture.frame

    def _draw(self) -> None:
        """Show the last picture with what is to be said over it."""
        if self._picture is None or (self._open and not self._display.visible):
            return  # closed by its user, which poll tells; showing a picture would open it anew
        frame, lines = enlarge(self._shown(self._picture)), self._lines(self._picture)
        if lines:
            frame = draw_overlay(frame, lines)
        try:
            if self._shape != frame.shape:
                self._shape = frame.shape
                self._display.open(*frame.shape[:2])
                self._open = True
            self._display.show(frame)
            key = self._display.key(1)  # also has the window drawn
        except cv2.error as error:
            raise SinkError(f"the window cannot be shown ({error.err or error}): {ADVICE}") from error
        self._key = key if key != NO_KEY else self._key

    def _lines(self, picture: Picture) -> list[Line]:
        lines: list[Line] = []
        if self._overlay:
            lines.append((f"{self._rate.text}  {picture.label}".strip(), WHITE))
        if self._recording is not None:
            lines.append(("REC", RED))
        if self._paused:
            lines.append(("paused", AMBER))
        if self._notice:
            lines.append((self._notice, AMBER))
        if self._message:
            lines.append((self._message, WHITE))
        return [line for line in lines if line[0]]

    def _say(self, text: str, seconds: float = MESSAGE_SECONDS) -> None:
        self._message, self._message_until = text, time.monotonic() + seconds

    def _snapshot(self) -> None:
        if self._picture is None:
            return
        path = self._free_name("snapshot", ".png")
        try:
            write_image(path, self._shown(self._picture))
        except EdgeError as error:
            self._say(str(error))
        else:
            self._say(f"saved {path}")

    def _toggle_recording(self) -> None:
        try:
            if self._recording is None:
                # The recording plays at the speed of life, whatever is dropped.
                self._recording = VideoFileSink(self._free_name("recording", ".mp4"), fps=self._fps, live=True)
                self._say(f"recording {self._recording.path}")
            else:
                recording, self._recording = self._recording, None
                recording.close()
                self._say(f"saved {recording.path}")
        except EdgeError as error:
            self._say(str(error))

    def _record(self, picture: Picture) -> None:
        if self._recording is None:
            return
        try:
            self._recording.write(replace(picture, frame=self._shown(picture)))
        except EdgeError as error:
            recording, self._recording = self._recording, None
            try:  # what came before is worth keeping: another artifact's pictures may be of another size
                recording.close()
            except EdgeError as worse:
                self._say(str(worse))
            else:
                self._say(f"the recording ended ({error}): saved {recording.path}" if recording.written else str(error))

    def _free_name(self, kind: str, suffix: str) -> Path:
        """A name with date and time that nothing has yet."""
        stem = f"{kind}-{datetime.now():%Y%m%d-%H%M%S}"
        numbered = (self._folder / f"{stem}{f'-{i}' if i else ''}{suffix}" for i in range(1000))
        return next(path for path in numbered if not path.exists())

"""What every source is, and how it is asked for."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import InvalidInputError
from core.frames import Frame, Size
from runtime.closing import Closing
from runtime.pixel_format import PixelFormat


@dataclass(frozen=True, slots=True)
class Outage:
    """A live source was lost and came back: ``time.perf_counter_ns`` of both."""

    start_ns: int
    end_ns: int

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.end_ns - self.start_ns) / 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """How a source is opened; what does not concern a source, it leaves alone. The defaults suit all of them.

    Attributes:
        input_size: what a camera is asked for (else the smallest usual mode that covers the generator's size), or the
            size of raw frames, which need it.
        input_fps: frames per second that a camera is asked for (else 30), or that raw frames and images count as.
        pixel_format: of raw frames.
        fourcc: pixel format that a camera is asked for, four characters: MJPG (the default), YUYV, ...
        backend: what OpenCV opens cameras with: v4l2 (the default on Linux), any, or another that it has.
        retry_seconds: how long a live source that was lost is tried again; infinite: for ever, 0: not at all.
        timeout_seconds: for connecting to a network stream, and for each of its frames.
    """

    input_size: Size | None = None
    input_fps: float | None = None
    pixel_format: PixelFormat = PixelFormat.BGR24
    fourcc: str | None = None
    backend: str | None = None
    retry_seconds: float = 300.0
    timeout_seconds: float = 5.0

    def __post_init__(self) -> None:
        """Raise ``InvalidInputError`` for values that no source can be opened with."""
        if self.fourcc is not None and (len(self.fourcc) != 4 or not self.fourcc.isascii()):
            raise InvalidInputError(f"--fourcc {self.fourcc!r}: give four characters, such as MJPG or YUYV")
        if self.input_fps is not None and not 0 < self.input_fps <= 1000:
            raise InvalidInputError(f"--input-fps {self.input_fps:g}: give a number above 0, up to 1000")
        if not self.retry_seconds >= 0:
            raise InvalidInputError(f"--retry {self.retry_seconds:g}: give seconds, 0 for not at all, or forever")
        if not 0 < self.timeout_seconds <= 3600:
            raise InvalidInputError(f"--timeout {self.timeout_seconds:g}: give seconds above 0, up to 3600")


class VideoSource(Closing, ABC):
    """Frames one after the other, read by one thread.

    Attributes:
        live: frames come at their own pace whether they are read or not, so old ones are worth nothing.
        fps: frames per second, where it is known; of a file whose rate varies, their average.
        frame_count: how many frames there are as the file tells, None where there is no end or it is not known.
        frame_size: of the first frame, where it is known before that is read; later ones may have another.
        frame_name: what the frame last read is called (an image's name without suffix), if it has a name.
        captured_ns: when the frame last read was captured (``time.perf_counter_ns``), where that is earlier than when
            ``read`` returned it; else None.
        lost_since_ns: since when a live source is lost and tried again (``time.perf_counter_ns``); None while it is
            there. Other threads may read it.
        outages: when a live source was lost and came back; one that is lost for good is no outage but an error.
        files: those that frames are read from, as far as there are any: nothing is to be written over them.
        note: what people should know once the frames were read, such as a frame cut off at the end.
    """

    live: bool
    fps: float | None = None
    frame_count: int | None = None
    frame_size: Size | None = None
    frame_name: str | None = None
    captured_ns: int | None = None
    lost_since_ns: int | None = None
    outages: Sequence[Outage] = ()
    files: Sequence[Path] = ()
    note: str | None = None

    @abstractmethod
    def read(self) -> Frame | None:
        """The next frame, ``uint8 [H, W, 3]`` BGR; None at the end.

        Raises:
            SourceError: if it cannot be read.
        """

    @abstractmethod
    def describe(self) -> str:
        """What this is, for a line that people read."""

    def stop(self) -> None:
        """Ask a ``read`` that waits in another thread to end soon, with None. Returns at once."""
        return

    def close(self) -> None:
        """Give back what the source holds. May be called again."""
        return

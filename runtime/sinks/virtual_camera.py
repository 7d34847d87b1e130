"""A virtual camera, which video calls and browsers list beside the real ones."""

from types import ModuleType
from typing import Any, Final

from core.errors import MissingDependencyError, SinkError
from runtime.sinks.base import Picture, VideoSink

CAMERA: Final = "camera:"
ADVICE: Final = (
    "on Linux load the kernel module v4l2loopback (modprobe v4l2loopback), on Windows or macOS install OBS Studio"
)


class VirtualCameraSink(VideoSink):
    """Sends pictures to a camera that exists in software only (pyvirtualcam), as they come."""

    def __init__(self, device: str | None = None, *, fps: float) -> None:
        """The camera is opened with the first picture, whose size it takes.

        Args:
            device: such as ``/dev/video2``; default: the first virtual camera that is free.
            fps: frames per second that programs are told.

        Raises:
            MissingDependencyError: without pyvirtualcam.
        """
        self._library = _load()
        self._device = device
        self._fps = fps
        self._camera: Any = None
        self._shape: tuple[int, ...] = ()

    def write(self, picture: Picture) -> None:
        """Send one picture; all must be of the first one's size.

        Raises:
            SinkError: if there is no such camera, or it takes no more pictures.
        """
        frame = picture.frame
        if self._camera is None:
            self._camera = self._open(*frame.shape[:2])
            self._shape = frame.shape
        if frame.shape != self._shape:
            raise SinkError(f"the virtual camera: a frame of {frame.shape} after frames of {self._shape}")
        try:
            self._camera.send(frame)
        except (RuntimeError, OSError) as error:
            raise SinkError(f"the virtual camera {self._camera.device} takes no more pictures: {error}") from error

    def close(self) -> None:
        """Let the camera go."""
        if self._camera is not None:
            camera, self._camera = self._camera, None
            camera.close()

    def abort(self) -> None:
        """Let the camera go."""
        self.close()

    def _open(self, height: int, width: int) -> Any:
        library = self._library
        try:
            return library.Camera(
                width=width, height=height, fps=self._fps, fmt=library.PixelFormat.BGR, device=self._device
            )
        except (RuntimeError, OSError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            named = f"the virtual camera {self._device}" if self._device else "a virtual camera"
            raise SinkError(f"{named} cannot be opened ({reason}): {ADVICE}") from error


def _load() -> ModuleType:
    """Raise ``MissingDependencyError`` if pyvirtualcam is not installed."""
    try:
        import pyvirtualcam
    except ImportError as error:
        raise MissingDependencyError("pyvirtualcam", "virtual-camera", f"--output {CAMERA}") from error
    module: ModuleType = pyvirtualcam
    return module

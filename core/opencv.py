"""OpenCV needs libraries that pip does not install; found missing, they end in one line that names them."""

import os

from core.errors import EdgeError


def require_opencv() -> None:
    """Import OpenCV. Call it before modules of this project that use it.

    Raises:
        EdgeError: if it or a system library that it needs is missing, with the packages to install.
    """
    try:
        import cv2  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "cv2":
            raise
        raise EdgeError("OpenCV is not installed: pip install opencv-python") from error
    except ImportError as error:
        raise EdgeError(
            f"OpenCV cannot be loaded ({error}): install the system packages libgl1 and libglib2.0-0, or, where no "
            "window is needed, replace opencv-python with opencv-python-headless"
        ) from error


def quiet_opencv(*, threads: int) -> None:
    """Keep OpenCV's and FFmpeg's own messages off stderr (errors are raised as ours), and give OpenCV ``threads``."""
    import cv2

    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET; read when the first video is opened
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    cv2.setNumThreads(threads)

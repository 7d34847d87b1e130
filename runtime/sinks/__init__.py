"""Where translated pictures go: files, images, other programs (the window is in ``.window``)."""

import os
import re
from pathlib import Path

from core.errors import SinkError
from core.frames import IMAGE_SUFFIXES
from core.places import expanded
from runtime.sinks.base import Picture, VideoSink
from runtime.sinks.beside import BesideSink
from runtime.sinks.images import ImageFileSink, ImageFolderSink
from runtime.sinks.raw import STANDARD_OUTPUT, RawSink
from runtime.sinks.video_file import CODECS, DEFAULT_FPS, OTHER_MEDIA, VideoFileSink
from runtime.sinks.virtual_camera import CAMERA, VirtualCameraSink

__all__ = [
    "CAMERA",
    "CODECS",
    "DEFAULT_FPS",
    "STANDARD_OUTPUT",
    "BesideSink",
    "ImageFileSink",
    "ImageFolderSink",
    "Picture",
    "RawSink",
    "VideoFileSink",
    "VideoSink",
    "VirtualCameraSink",
    "open_sink",
]


def open_sink(
    name: str,
    *,
    fps: float | None,
    live: bool,
    frames: int | None,
    side_by_side: bool = False,
    audio_from: Path | None = None,
) -> VideoSink:
    """The sink for ``name``: a video, an image, a virtual camera, raw frames, or (any other name) a folder of images.

    Args:
        name: where to write; ``-`` for raw frames on standard output, ``camera:`` or ``camera:/dev/video2``.
        fps: of a video, or of the virtual camera; default: 30.
        live: see ``VideoFileSink``.
        frames: how many pictures will come, None if not known.
        side_by_side: what the generator saw is written left of its translation.
        audio_from: a video whose sound a video is given.

    Raises:
        SinkError: if it could not be written, or is of a kind that cannot be.
        MissingDependencyError: if it needs a library that is not installed.
    """
    sink: VideoSink
    if name == STANDARD_OUTPUT:
        sink = RawSink(fitted=live)
    elif name.startswith(CAMERA):
        sink = VirtualCameraSink(name.removeprefix(CAMERA) or None, fps=fps or DEFAULT_FPS)
    else:
        sink = _open_files(name, fps, live, frames, audio_from)
    return BesideSink(sink) if side_by_side else sink


def _open_files(name: str, fps: float | None, live: bool, frames: int | None, audio_from: Path | None) -> VideoSink:
    path = expanded(name)
    suffix = path.suffix.lower()
    if suffix in CODECS or suffix in OTHER_MEDIA:
        return VideoFileSink(path, fps=fps, live=live, fitted=live, audio_from=audio_from)
    if suffix not in IMAGE_SUFFIXES:
        if not path.is_dir() and re.fullmatch(r"\.[a-z]\w{1,4}", suffix) and not name.endswith(("/", os.sep)):
            kinds = ", ".join((*CODECS, ".png", ".jpg"))
            raise SinkError(
                f"{name}: no such kind of file is written here ({kinds} are); for a folder of images give {name}/"
            )
        return ImageFolderSink(path)
    if frames != 1:
        raise SinkError(
            f"{path} holds one image and the source gives more: name a folder or a video, or add --frames 1"
        )
    return ImageFileSink(path)

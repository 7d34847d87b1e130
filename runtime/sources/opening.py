"""From what a user typed to the source that it names."""

import re
from pathlib import Path
from typing import Final

from core.data_layout import readable
from core.errors import InvalidInputError, SourceError
from core.frames import IMAGE_SUFFIXES, Size
from core.places import expanded
from runtime.sources.base import SourceOptions, VideoSource
from runtime.sources.cameras import CameraSource, index_of
from runtime.sources.captures import hide_password
from runtime.sources.demo import DEMO, DemoSource
from runtime.sources.images import ImageSource, find_images, is_pattern
from runtime.sources.raw import STANDARD_INPUT, open_named_pipe, open_standard_input
from runtime.sources.streams import open_url
from runtime.sources.video_files import VideoFileSource

URL: Final = re.compile(r"(rtsps?|rtmps?|https?|udp|tcp|srt|rtp)://", re.IGNORECASE)
CAMERA: Final = re.compile(r"(?:camera:|/dev/video)?(\d{1,4})", re.IGNORECASE)
CHOICES: Final = "a video, an image, a folder of images, 'photos/*.jpg', a URL, camera:0, - or demo"
DEFAULTS: Final = SourceOptions()


def open_source(
    text: str,
    *,
    size: Size,
    options: SourceOptions = DEFAULTS,
    live_demo: bool = False,
    demo_photos: bool = False,
) -> VideoSource:
    """The source a user named.

    Args:
        text: ``demo``; ``camera:0``, ``0`` or ``/dev/video0``; a URL; ``-`` for raw frames from standard input; the
            path of a folder of images, an image, a video or a named pipe of raw frames; or a pattern such as
            ``photos/*.jpg``.
        size: of the frames that will be made of it; a camera is asked for no more than that needs.
        options: for cameras, streams and raw frames.
        live_demo: the demo plays at its own speed instead of as fast as it is read.
        demo_photos: the demo shows pictures instead of label maps.

    Raises:
        InvalidInputError: for an option that cannot be met.
        SourceError: if there is no such thing or it cannot be opened.
    """
    if text == DEMO:
        return DemoSource(size, photos=demo_photos, live=live_demo)
    if text == STANDARD_INPUT:
        return open_standard_input(options)
    if URL.match(text):
        return open_url(text, options)
    path = expanded(text)
    try:
        with readable(path):
            exists, is_file, is_folder = path.exists(), path.is_file(), path.is_dir()
    except InvalidInputError as error:
        raise SourceError(str(error)) from error
    if exists and not is_file and not is_folder:
        return _open_special(path, size, options)
    if is_folder or (is_file and path.suffix.lower() in IMAGE_SUFFIXES):
        return ImageSource(path, fps=options.input_fps)
    if is_file:
        return VideoFileSource(path)
    if camera := CAMERA.fullmatch(text):
        return CameraSource(int(camera[1]), size=size, options=options)
    if is_pattern(text):
        return ImageSource(Path(text), find_images(text), fps=options.input_fps)
    raise SourceError(f"there is no file or folder {hide_password(text)}: give --source {CHOICES}")


def _open_special(path: Path, size: Size, options: SourceOptions) -> VideoSource:
    """A camera by its device, or a named pipe; ``SourceError`` for anything else that is no file."""
    if path.is_fifo():
        return open_named_pipe(path, options)
    index = index_of(path)
    if path.is_char_device() and index is not None:
        return CameraSource(index, size=size, options=options, device=path)
    raise SourceError(f"{path} is a device or a socket, not a file: give --source {CHOICES}")

"""One image, or many in natural order: a folder's, or those that a pattern matches."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from glob import glob, has_magic
from pathlib import Path

from core.errors import InvalidInputError, SourceError
from core.frames import IMAGE_SUFFIXES, Frame, Size, is_special, list_images, read_image
from core.places import expanded
from runtime.sources.base import VideoSource
from runtime.sources.captures import hide_password


class ImageSource(VideoSource):
    """One image, or several in natural order (``2.png`` before ``10.png``)."""

    live = False

    def __init__(self, path: Path, images: Sequence[Path] | None = None, *, fps: float | None = None) -> None:
        """Take ``images``, or what is at ``path``.

        Args:
            path: an image or a folder of images, or the pattern that gave ``images``.
            images: which ones, if they are known.
            fps: frames per second that they count as.

        Raises:
            SourceError: if ``path`` is missing or a folder without images, or the first one cannot be decoded.
        """
        self.path = path
        self.fps = fps
        if images is None:
            try:
                images = list_images(path) if path.is_dir() else [path]
            except InvalidInputError as error:
                raise SourceError(str(error)) from error
        self._images = sorted(images, key=lambda image: [natural_key(part) for part in image.parts])
        self.files = self._images
        self._names = _distinct_names(self._images)
        self._next = 0
        self.frame_count = len(images)
        self._first: Frame | None = _decode(self._images[0])
        self.frame_size = Size(*self._first.shape[:2])

    def read(self) -> Frame | None:
        """The next image; ``SourceError`` that names it if it cannot be decoded."""
        if self._next == len(self._images):
            return None
        frame = _decode(self._images[self._next]) if self._first is None else self._first
        self._first = None
        self.frame_name = self._names[self._next]
        self._next += 1
        return frame

    def describe(self) -> str:
        """The path, and how many images."""
        return f"{self.path} ({self.frame_count} image{'s' if self.frame_count != 1 else ''})"


def is_pattern(text: str) -> bool:
    """Whether ``text`` stands for several files: ``photos/*.jpg``, ``scans/**/*.png``."""
    return has_magic(text)


def find_images(pattern: str) -> list[Path]:
    """The images that ``pattern`` matches; ``**`` stands for folders of any depth. Hidden files are left out.

    Raises:
        SourceError: if it matches nothing, or no image.
    """
    shown = hide_password(pattern)
    # Path.glob takes no absolute pattern.
    matches = [Path(match) for match in glob(str(expanded(pattern)), recursive=True)]  # noqa: PTH207
    files = [path for path in matches if not path.is_dir() and not is_special(path)]
    images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    if images:
        return images
    if files:
        count = f"{len(files)} files, none of them an image" if len(files) > 1 else "one file, which is no image"
        raise SourceError(f"{shown} matches {count}: of videos give one at a time, such as --source {min(files)}")
    if matches:
        raise SourceError(f"{shown} matches folders only: give {shown.rstrip('/')}/* for the images in them")
    raise SourceError(f"nothing matches {shown}: check the folder and the suffix, or give a folder of images")


def natural_key(name: str) -> list[tuple[int, str]]:
    """Sort key that has numbers within a name count as numbers."""
    parts = re.split(r"(\d+)", name.casefold())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _decode(image: Path) -> Frame:
    try:
        return read_image(image)
    except InvalidInputError as error:
        raise SourceError(str(error)) from error


def _distinct_names(images: Sequence[Path]) -> list[str]:
    """A name for each image that no other has: its stem, else with its suffix, else with its folders."""
    root = Path(os.path.commonpath([image.parent for image in images]))
    forms = [(image.stem, image.name, "_".join(image.relative_to(root).parts)) for image in images]
    level = [0] * len(images)
    while True:
        names = [form[i] for form, i in zip(forms, level, strict=True)]
        count = Counter(names)
        again = [i for i, name in enumerate(names) if count[name] > 1 and level[i] < 2]
        if not again:
            break
        for i in again:
            level[i] += 1
    # a/b_c.png and a_b/c.png
    return [name if count[name] == 1 else f"{i + 1:04}_{name}" for i, name in enumerate(names)]

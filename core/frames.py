"""The only place that knows pixel layout, colour order, range and resizing.

A *frame* is ``uint8``, height x width x 3, BGR, C-contiguous: what OpenCV hands over and takes back. The *network
layout* is ``float32``, N x channels x height x width, in [-1, 1]: what the paper's generator works in. What the
channels are is an ``Encoding``, whose arithmetic is in ``core.encoding``; a ``GeneratorConfig`` says which ones its
generator takes and gives.

``to_network`` and ``to_frames`` are written with tensor methods only, so that training and the exported deploy graph
share them and this module needs no PyTorch; ``frames_to_array`` and ``array_to_frames`` are the same in NumPy, for
baselines that pre- and post-process on the outside.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from core.atomic import atomic_file
from core.encoding import HALF_RANGE as HALF_RANGE
from core.encoding import Encoding as Encoding
from core.encoding import decode, encode
from core.errors import InvalidInputError

if TYPE_CHECKING:
    from torch import Tensor

    from core.configuration import GeneratorConfig

Frame = NDArray[np.uint8]
"""``uint8 [height, width, 3]`` in BGR, C-contiguous."""

IMAGE_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})


class Size(NamedTuple):
    """Height and width in pixels, in that order."""

    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.height}x{self.width}"


def parse_size(text: str) -> Size:
    """``"256"`` or ``"384x640"`` (height x width) as a ``Size``.

    Raises:
        InvalidInputError: for anything else.
    """
    parts = text.lower().split("x")
    sides = [int(part) for part in parts if re.fullmatch("[0-9]{1,4}", part)]
    if len(sides) != len(parts) or len(sides) > 2 or not all(0 < side <= 8192 for side in sides):
        raise InvalidInputError(
            f"size {text[:40]!r} is not understood: give 256 or 384x640 (height x width, up to 8192)"
        )
    return Size(sides[0], sides[-1])


def check_multiple(size: Size, levels: int) -> None:
    """Refuse a size that a generator with ``levels`` halvings cannot take.

    Raises:
        InvalidInputError: with the nearest size that would do.
    """
    step = 2**levels
    if size.height % step or size.width % step:
        nearest = Size(*(max(step, round(side / step) * step) for side in size))
        raise InvalidInputError(
            f"size {size} is not a multiple of {step}, which a generator of {levels} levels needs: "
            f"use {nearest}, or fewer levels"
        )


def check_frame(frame: NDArray[np.generic]) -> Frame:
    """``frame`` itself if it is a frame as this module defines it.

    Raises:
        InvalidInputError: for another type, shape or layout.
    """
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or not frame.size:
        raise InvalidInputError(f"not a uint8 BGR frame of height x width x 3: {frame.dtype} {list(frame.shape)}")
    return np.ascontiguousarray(frame, dtype=np.uint8)


def read_image(path: Path) -> Frame:
    """The image at ``path`` as a frame; grayscale becomes three equal channels, alpha is dropped, 16 bits become 8.

    Raises:
        InvalidInputError: if there is no such file or it cannot be decoded.
    """
    if is_special(path):
        raise InvalidInputError(f"{path} is not a file: replace or remove it")
    try:
        data = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise InvalidInputError(f"cannot read {path}: {error.strerror}") from error
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except cv2.error as error:  # larger than OpenCV cares to decode
        raise InvalidInputError(f"{path} is too large an image to decode: make it smaller") from error
    if image is None:
        raise InvalidInputError(f"{path} is not an image that can be decoded: replace or remove it")
    return check_frame(image)


def write_image(path: Path, frame: Frame) -> None:
    """Write ``frame`` to ``path``, encoded by its suffix; whole or not at all.

    Raises:
        InvalidInputError: if the suffix is unknown or the file cannot be written.
    """
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise InvalidInputError(f"{path}: unknown image suffix; use one of {', '.join(sorted(IMAGE_SUFFIXES))}")
    _, data = cv2.imencode(path.suffix, frame)
    with atomic_file(path) as partial:
        data.tofile(partial)


def is_special(path: Path) -> bool:
    """Whether ``path`` is there and is no file: a pipe would be waited for, a device read without end."""
    return path.exists() and not path.is_file()


def list_images(folder: Path) -> list[Path]:
    """The image files directly in ``folder``, sorted by name; hidden ones (macOS's ``._a.jpg``) are no images.

    Raises:
        InvalidInputError: if there is no such folder, it cannot be read, or it holds no images.
    """
    try:
        if not folder.is_dir():
            raise InvalidInputError(f"there is no folder {folder}")
        files = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise InvalidInputError(f"cannot read the folder {folder}: {error.strerror}") from error
    images = sorted(path for path in files if path.suffix.lower() in IMAGE_SUFFIXES and not is_special(path))
    if not images:
        raise InvalidInputError(f"{folder} holds no images ({', '.join(sorted(IMAGE_SUFFIXES))})")
    return images


def resize(frame: Frame, size: Size) -> Frame:
    """``frame`` stretched to ``size``: area averaging when it shrinks, bilinear when it grows."""
    if frame.shape[:2] == size:
        return frame
    shrinks = frame.shape[0] >= size.height and frame.shape[1] >= size.width
    mode = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(frame, (size.width, size.height), interpolation=mode), dtype=np.uint8)


def crop_to_aspect(frame: Frame, size: Size) -> Frame:
    """The largest centred part of ``frame`` with the proportions of ``size`` (a view)."""
    height, width = frame.shape[:2]
    if width * size.height > height * size.width:
        kept = max(1, round(height * size.width / size.height))
        left = (width - kept) // 2
        return frame[:, left : left + kept]
    kept = max(1, round(width * size.height / size.width))
    top = (height - kept) // 2
    return frame[top : top + kept]


def fit(frame: Frame, size: Size) -> Frame:
    """``frame`` cropped to the proportions of ``size`` around its centre and resized to it."""
    return np.ascontiguousarray(resize(crop_to_aspect(frame, size), size))


def side_by_side(*frames: Frame) -> Frame:
    """Frames of equal height, left to right."""
    return np.ascontiguousarray(np.concatenate(frames, axis=1))


def contact_sheet(rows: Sequence[Sequence[Frame]], *, gap: int = 4) -> Frame:
    """Rows of equally large frames on a white sheet, ``gap`` pixels apart."""
    height, width = rows[0][0].shape[:2]
    columns = max(len(row) for row in rows)
    sheet = np.full((len(rows) * (height + gap) + gap, columns * (width + gap) + gap, 3), 255, dtype=np.uint8)
    for i, row in enumerate(rows):
        for j, frame in enumerate(row):
            top, left = gap + i * (height + gap), gap + j * (width + gap)
            sheet[top : top + height, left : left + width] = frame
    return sheet


def input_images(frames: "Tensor", config: "GeneratorConfig") -> "Tensor":
    """What a generator of ``config`` is given for ``frames``: ``uint8 [N, H, W, 3]`` to ``float32 [N, C, H, W]``.

    Raises:
        InvalidInputError: if the generator takes channels that frames do not have (``config.check_frames``).
    """
    return to_network(frames, config.input_encoding)


def target_images(frames: "Tensor", config: "GeneratorConfig") -> "Tensor":
    """What a generator of ``config`` should answer where ``frames`` are the targets; else as ``input_images``."""
    return to_network(frames, config.target_encoding)


def output_frames(images: "Tensor", frames: "Tensor", config: "GeneratorConfig") -> "Tensor":
    """The translations of ``frames`` as frames, from the ``images`` that a generator of ``config`` gave for them.

    ``images`` are ``float [N, C, H, W]`` in [-1, 1]; ``frames``, ``uint8 [N, H, W, 3]``, are the generator's inputs: a
    colorization keeps their lightness.
    """
    return to_frames(images, config.target_encoding, frames)


def to_network(frames: "Tensor", encoding: Encoding = Encoding.RGB) -> "Tensor":
    """Frames as a tensor, ``uint8 [N, H, W, 3]`` BGR, in network layout: ``float32 [N, C, H, W]`` in [-1, 1]."""
    # TensorRT takes uint8 for inputs and outputs only: the cast comes first here, and last on the way back.
    levels = frames.float()
    if encoding is Encoding.RGB:
        return levels.permute(0, 3, 1, 2).flip(1) / HALF_RANGE - 1
    return _stacked(encode(levels, encoding))


def to_frames(images: "Tensor", encoding: Encoding = Encoding.RGB, lightness_of: "Tensor | None" = None) -> "Tensor":
    """The way back: ``float [N, C, H, W]`` in [-1, 1] as ``uint8 [N, H, W, 3]`` BGR, rounded and clamped.

    ``CHROMA`` needs the frames whose lightness the result is to have, ``uint8 [N, H, W, 3]`` BGR.
    """
    if encoding is Encoding.RGB:
        levels = (images.float() + 1).flip(1) * HALF_RANGE
    else:
        lightness = None if lightness_of is None else to_network(lightness_of, Encoding.LIGHTNESS)
        levels = _stacked(decode(images.float(), encoding, lightness))
    levels = levels.round().clamp(0, 255).permute(0, 2, 3, 1)
    return (levels if levels.shape[3] == 3 else levels.expand(-1, -1, -1, 3)).byte()


def frames_to_array(frames: NDArray[np.uint8], encoding: Encoding = Encoding.RGB) -> NDArray[np.float32]:
    """``to_network`` in NumPy."""
    levels = frames.astype(np.float32)
    if encoding is Encoding.RGB:
        return np.ascontiguousarray(levels[..., ::-1].transpose(0, 3, 1, 2) / HALF_RANGE - 1)
    return np.stack(encode(levels, encoding), axis=1)


def array_to_frames(
    images: NDArray[np.float32], encoding: Encoding = Encoding.RGB, lightness_of: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """``to_frames`` in NumPy."""
    if encoding is Encoding.RGB:
        levels = (images[:, ::-1] + 1) * HALF_RANGE
    else:
        lightness = None if lightness_of is None else frames_to_array(lightness_of, Encoding.LIGHTNESS)
        levels = np.stack(decode(images, encoding, lightness), axis=1)
    frames = np.clip(np.rint(levels), 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(np.broadcast_to(frames, (*frames.shape[:3], 3)))


def as_seen(frame: Frame, encoding: Encoding) -> Frame:
    """What an image of one channel keeps of ``frame``, as a gray frame; ``frame`` itself where colours are kept."""
    if encoding in (Encoding.RGB, Encoding.CHROMA):  # chroma is nothing without its lightness
        return frame
    return np.asarray(array_to_frames(frames_to_array(frame[np.newaxis], encoding), encoding)[0])


def _stacked(planes: "Sequence[Tensor]") -> "Tensor":
    """``[N, H, W]`` tensors as the channels of one: what ``torch.stack`` does, with tensor methods only."""
    if len(planes) == 1:
        return planes[0][:, None]
    units = planes[0].new_ones(len(planes)).diag()[:, :, None, None]
    stacked = planes[0][:, None] * units[0]
    for i in range(1, len(planes)):
        stacked = stacked + planes[i][:, None] * units[i]
    return stacked

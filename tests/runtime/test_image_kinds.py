"""Images that are not plain 8-bit colour: gray, 16 bits, turned by a camera, floating point."""

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from core.errors import SourceError
from core.frames import Size
from runtime.sources import open_source
from tests.runtime.media_helpers import read_all
from tests.runtime.stream_helpers import HEIGHT, WIDTH

SIZE = Size(HEIGHT, WIDTH)


def save(path: Path, image: NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float32]) -> Path:
    assert cv2.imwrite(str(path), image)
    return path


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_16_bits_are_scaled_to_8(tmp_path: Path, suffix: str, channels: int) -> None:
    ramp = np.linspace(0, 65535, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
    image = ramp.astype(np.uint16) if channels == 1 else np.dstack([ramp, ramp / 2, ramp / 4]).astype(np.uint16)
    (frame,) = read_all(open_source(str(save(tmp_path / f"deep{suffix}", image)), size=SIZE))
    expected = np.dstack([image] * 3) if channels == 1 else image
    assert np.abs(frame - expected / 257).max() <= 1


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".tiff"])
def test_gray_becomes_three_equal_channels(tmp_path: Path, suffix: str) -> None:
    image = np.full((HEIGHT, WIDTH), 90, np.uint8)
    (frame,) = read_all(open_source(str(save(tmp_path / f"gray{suffix}", image)), size=SIZE))
    assert np.abs(frame.astype(int) - 90).max() <= 2


@pytest.mark.parametrize(("orientation", "bright"), [(1, (0, 0)), (3, (-1, -1)), (6, (0, -1)), (8, (-1, 0))])
def test_a_photo_comes_upright(tmp_path: Path, orientation: int, bright: tuple[int, int]) -> None:
    """EXIF tag 274: 3 is half a turn, 6 a quarter turn clockwise, 8 one the other way."""
    image = np.zeros((HEIGHT, WIDTH), np.uint8)
    image[:16, :16] = 255  # the corner that was up and left on the sensor
    exif = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 274, 3, 1, orientation, 0, 0)
    jpeg = cv2.imencode(".jpg", image)[1].tobytes()
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 8) + b"Exif\0\0" + exif
    path = tmp_path / "held.jpg"
    path.write_bytes(jpeg[:2] + segment + jpeg[2:])
    source = open_source(str(path), size=SIZE)
    (frame,) = read_all(source)
    assert frame.shape[:2] == source.frame_size == ((HEIGHT, WIDTH) if orientation in (1, 3) else (WIDTH, HEIGHT))
    assert frame[bright].min() > 200
    assert frame.mean() < 40


def test_floating_point_is_refused_in_a_line(tmp_path: Path) -> None:
    path = save(tmp_path / "depth.tif", np.full((HEIGHT, WIDTH), 0.5, np.float32))
    with pytest.raises(SourceError, match=r"depth\.tif") as refused:
        open_source(str(path), size=SIZE)
    assert "\n" not in str(refused.value)

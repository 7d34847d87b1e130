from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from core.errors import InvalidInputError
from core.frames import (
    Size,
    array_to_frames,
    check_frame,
    contact_sheet,
    fit,
    frames_to_array,
    list_images,
    parse_size,
    read_image,
    to_frames,
    to_network,
    write_image,
)

ALL_VALUES = np.arange(256, dtype=np.uint8)


@pytest.fixture
def frames() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 8, 12, 3), dtype=np.uint8)


def test_network_layout_is_rgb_channels_first_in_minus_one_to_one() -> None:
    blue = np.zeros((1, 2, 3, 3), dtype=np.uint8)
    blue[..., 0] = 255  # OpenCV: blue comes first
    tensor = to_network(torch.from_numpy(blue))
    assert tensor.shape == (1, 3, 2, 3)
    assert tensor[0, :, 0, 0].tolist() == [-1.0, -1.0, 1.0]  # the paper's networks: red, green, blue


def test_every_8_bit_value_survives_the_round_trip() -> None:
    frames = np.broadcast_to(ALL_VALUES[:, None, None, None], (256, 1, 1, 3)).copy()
    assert np.array_equal(to_frames(to_network(torch.from_numpy(frames))).numpy(), frames)


def test_values_are_rounded_and_clamped_not_cut_off() -> None:
    step = 1 / 127.5
    images = torch.tensor([-3.0, -1 + 0.6 * step, -1 + 0.4 * step, 3.0]).reshape(1, 1, 1, 4).expand(1, 3, 1, 4)
    assert to_frames(images)[0, 0, :, 0].tolist() == [0, 1, 0, 255]


def test_numpy_and_tensor_versions_agree(frames: np.ndarray) -> None:
    tensor = to_network(torch.from_numpy(frames))
    assert np.array_equal(frames_to_array(frames), tensor.numpy())
    assert np.array_equal(array_to_frames(tensor.numpy()), to_frames(tensor).numpy())


@pytest.mark.parametrize(("text", "size"), [("256", Size(256, 256)), ("384x640", Size(384, 640))])
def test_sizes_are_read_as_height_by_width(text: str, size: Size) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "x", "0", "256x", "-4", "1x2x3", "99999", "25.6"])
def test_bad_sizes_are_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="size"):
        parse_size(text)


def test_fit_crops_to_the_centre_before_it_resizes() -> None:
    frame = np.zeros((100, 300, 3), dtype=np.uint8)
    frame[:, 100:200] = 255  # the middle third is what a square sees
    assert fit(frame, Size(50, 50)).min() == 255


@pytest.mark.parametrize("make", ["gray", "alpha", "sixteen"])
def test_images_of_other_kinds_become_frames(make: str, tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    image = {
        "gray": np.full((4, 6), 200, np.uint8),
        "alpha": np.full((4, 6, 4), 200, np.uint8),
        "sixteen": np.full((4, 6, 3), 200 * 257, np.uint16),
    }[make]
    cv2.imwrite(str(path), image)
    frame = read_image(path)
    assert frame.shape == (4, 6, 3)
    assert np.all(frame == 200)


def test_images_are_written_whole_and_read_back(frames: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "new" / "ümläut.png"
    write_image(path, frames[0])
    assert np.array_equal(read_image(path), frames[0])
    assert [child.name for child in path.parent.iterdir()] == [path.name]


def test_broken_and_missing_images_are_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8 no jpeg")
    for path in (broken, tmp_path / "missing.jpg"):
        with pytest.raises(InvalidInputError, match=path.name):
            read_image(path)
    with pytest.raises(InvalidInputError, match="unknown image suffix"):
        write_image(tmp_path / "picture.docx", np.zeros((2, 2, 3), np.uint8))


def test_folders_are_listed_by_name_images_only(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in list_images(tmp_path)] == ["a.JPG", "b.png"]
    with pytest.raises(InvalidInputError, match="no folder"):
        list_images(tmp_path / "missing")


@pytest.mark.parametrize("frame", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)])
def test_what_is_no_frame_is_refused(frame: np.ndarray) -> None:
    with pytest.raises(InvalidInputError, match="not a uint8 BGR frame"):
        check_frame(frame)


def test_contact_sheet_shows_every_frame(frames: np.ndarray) -> None:
    sheet = contact_sheet([[frames[0], frames[1]], [frames[1]]], gap=2)
    assert sheet.shape == (2 * 10 + 2, 2 * 14 + 2, 3)
    assert np.array_equal(sheet[2:10, 16:28], frames[1])
    assert np.all(sheet[12:20, 16:28] == 255)

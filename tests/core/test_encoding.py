"""Channels of a network's images against OpenCV's conversions and the textbook's, in double precision."""

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from core.cielab import RGB_OF_XYZ, WHITE, XYZ_OF_RGB
from core.configuration import GeneratorConfig, Task, build_settings
from core.encoding import Encoding
from core.errors import InvalidInputError
from core.frames import (
    array_to_frames,
    as_seen,
    frames_to_array,
    input_images,
    output_frames,
    target_images,
    to_frames,
)
from core.frames import to_network as tensor_to_network

COLORIZE = GeneratorConfig(task=Task.COLORIZE, in_channels=1, out_channels=2)


@pytest.fixture(scope="module")
def all_colours() -> NDArray[np.uint8]:
    """Every sixteenth value of every channel, the darkest and the brightest four: one frame of all their colours."""
    values = np.unique(np.r_[0:4, 0:256:16, 252:256]).astype(np.uint8)
    return np.stack(np.meshgrid(values, values, values, indexing="ij"), axis=-1).reshape(1, len(values), -1, 3)


def to_network(frames: NDArray[np.uint8], encoding: Encoding) -> NDArray[np.float32]:
    return tensor_to_network(torch.from_numpy(frames), encoding).numpy()


def textbook_lab(frames: NDArray[np.uint8]) -> NDArray[np.float64]:
    """CIE Lab under D65 by the book: ``[N, H, W, 3]``."""
    srgb = frames[..., ::-1] / 255.0
    light = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    xyz = light @ np.array(XYZ_OF_RGB).T / np.array(WHITE)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


def test_the_matrices_belong_together_and_gray_has_no_colour() -> None:
    assert np.allclose(np.array(XYZ_OF_RGB) @ np.array(RGB_OF_XYZ), np.eye(3), atol=1e-9)
    assert np.allclose(np.sum(XYZ_OF_RGB, axis=1), WHITE, atol=1e-9)


def test_gray_is_opencvs_brightness(all_colours: NDArray[np.uint8]) -> None:
    gray = to_network(all_colours, Encoding.GRAY)
    expected = cv2.cvtColor(all_colours[0].astype(np.float32), cv2.COLOR_BGR2GRAY)
    assert gray.shape == (1, 1, *all_colours.shape[1:3])
    assert np.abs((gray[0, 0] + 1) * 127.5 - expected).max() < 1e-3


def test_lightness_and_chroma_are_the_textbooks(all_colours: NDArray[np.uint8]) -> None:
    lab = textbook_lab(all_colours)
    lightness = to_network(all_colours, Encoding.LIGHTNESS)
    chroma = to_network(all_colours, Encoding.CHROMA)
    assert lightness.dtype == chroma.dtype == np.float32
    assert (lightness.shape[1], chroma.shape[1]) == (1, 2)
    assert np.abs((lightness[:, 0] + 1) * 50 - lab[..., 0]).max() < 1e-3
    assert np.abs(chroma.transpose(0, 2, 3, 1) * 110 - lab[..., 1:]).max() < 5e-3
    assert max(np.abs(lightness).max(), np.abs(chroma).max()) <= 1 + 1e-6, "what tanh can answer"


def test_lightness_and_chroma_are_opencvs(all_colours: NDArray[np.uint8]) -> None:
    """OpenCV interpolates in tables: half a unit of Lab is what it allows itself."""
    lab = cv2.cvtColor(all_colours[0].astype(np.float32) / 255, cv2.COLOR_BGR2LAB)
    assert np.abs((to_network(all_colours, Encoding.LIGHTNESS)[0, 0] + 1) * 50 - lab[..., 0]).max() < 0.5
    assert np.abs(to_network(all_colours, Encoding.CHROMA)[0].transpose(1, 2, 0) * 110 - lab[..., 1:]).max() < 0.5


def test_every_colour_survives_the_way_to_lab_and_back(all_colours: NDArray[np.uint8]) -> None:
    frames = torch.from_numpy(all_colours)
    back = output_frames(target_images(frames, COLORIZE), frames, COLORIZE).numpy()
    assert np.array_equal(back, all_colours)


def test_the_way_back_is_opencvs() -> None:
    """Any a and b on a gray frame, most of them no sRGB colour: clamped to [0, 255] as OpenCV clamps them to [0, 1]."""
    a, b = np.meshgrid(np.linspace(-1, 1, 41, dtype=np.float32), np.linspace(-1, 1, 41, dtype=np.float32))
    chroma = np.stack([a, b])[None]
    for value in (0, 3, 60, 128, 255):
        gray = np.full((1, 41, 41, 3), value, dtype=np.uint8)
        lightness = textbook_lab(gray)[0, ..., 0].astype(np.float32)
        lab = np.dstack([lightness, a * 110, b * 110])
        expected = np.clip(np.rint(cv2.cvtColor(lab, cv2.COLOR_LAB2BGR) * 255), 0, 255)
        frames = to_frames(torch.from_numpy(chroma), Encoding.CHROMA, torch.from_numpy(gray)).numpy()
        assert np.abs(frames[0] - expected).max() <= 1
        assert frames.std() > 10 or value == 0


def test_colorization_keeps_the_frames_lightness(all_colours: NDArray[np.uint8]) -> None:
    frames = torch.from_numpy(all_colours)
    images = 0.2 * torch.rand(1, 2, *all_colours.shape[1:3], generator=torch.Generator().manual_seed(0)) - 0.1
    before = textbook_lab(all_colours)[..., 0]
    # Far from black and white, where sRGB has every colour of so little chroma.
    middle = (before > 30) & (before < 85)
    after = textbook_lab(output_frames(images, frames, COLORIZE).numpy())[..., 0]
    assert np.abs(after - before)[middle].max() < 0.5


@pytest.mark.parametrize("encoding", [Encoding.GRAY, Encoding.LIGHTNESS])
def test_a_gray_frame_survives_as_one_channel(encoding: Encoding) -> None:
    frames = np.broadcast_to(np.arange(256, dtype=np.uint8)[:, None, None, None], (256, 1, 2, 3)).copy()
    back = to_frames(torch.from_numpy(to_network(frames, encoding)), encoding)
    assert back.dtype == torch.uint8
    assert np.array_equal(back.numpy(), frames)


def test_a_frame_as_seen_in_one_channel_is_its_gray(all_colours: NDArray[np.uint8]) -> None:
    frame = all_colours[0]
    brightness = cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    assert np.abs(as_seen(frame, Encoding.GRAY).astype(int) - brightness).max() <= 1
    seen = as_seen(frame, Encoding.LIGHTNESS)
    assert np.abs(textbook_lab(seen[None])[..., 0] - textbook_lab(all_colours)[..., 0]).max() < 0.3
    assert np.array_equal(as_seen(frame, Encoding.RGB), frame)


def test_a_generators_configuration_says_what_its_channels_are(all_colours: NDArray[np.uint8]) -> None:
    frames = torch.from_numpy(all_colours)
    for channels, encoding in ((1, Encoding.GRAY), (3, Encoding.RGB)):
        config = GeneratorConfig(in_channels=channels, out_channels=channels)
        expected = tensor_to_network(frames, encoding)
        assert torch.equal(input_images(frames, config), expected)
        assert torch.equal(target_images(frames, config), expected)
        assert torch.equal(output_frames(expected, frames, config), to_frames(expected, encoding))
    assert torch.equal(input_images(frames, COLORIZE), tensor_to_network(frames, Encoding.LIGHTNESS))


@pytest.mark.parametrize("encoding", list(Encoding))
def test_numpy_and_tensor_versions_agree(encoding: Encoding, all_colours: NDArray[np.uint8]) -> None:
    images = to_network(all_colours, encoding)
    assert np.allclose(frames_to_array(all_colours, encoding), images, atol=2e-6)
    noisy = (images + 0.3 * np.sin(np.arange(images.size)).reshape(images.shape)).astype(np.float32)
    frames = to_frames(torch.from_numpy(noisy), encoding, torch.from_numpy(all_colours)).numpy()
    difference = np.abs(array_to_frames(noisy, encoding, all_colours).astype(int) - frames)
    assert difference.max() <= 1, "the last bit may fall on the other side of a rounding"
    assert (difference > 0).mean() < 1e-3


def test_half_precision_images_come_back_in_full(all_colours: NDArray[np.uint8]) -> None:
    frames = torch.from_numpy(all_colours)
    images = target_images(frames, COLORIZE)
    half = output_frames(images.half(), frames, COLORIZE)
    assert torch.equal(half, output_frames(images.half().float(), frames, COLORIZE))


def test_colorization_has_one_channel_in_and_two_out() -> None:
    with pytest.raises(InvalidInputError, match="in_channels = 1 and out_channels = 2, not 3 and 3"):
        build_settings(GeneratorConfig, task=Task.COLORIZE)


@pytest.mark.parametrize("setting", ["in_channels", "out_channels"])
@pytest.mark.parametrize("channels", [2, 4])
def test_channels_that_frames_do_not_have_are_for_networks_alone(setting: str, channels: int) -> None:
    config = build_settings(GeneratorConfig, **{setting: channels})
    with pytest.raises(InvalidInputError, match=f"{setting} = {channels}, but a frame has 3"):
        config.check_frames()


def test_settings_written_before_there_were_tasks_mean_what_they_meant() -> None:
    old = {"width": 8, "levels": 4, "in_channels": 3, "out_channels": 3, "norm": "batch", "padding": "zeros"}
    config = GeneratorConfig.model_validate(old)
    assert (config.task, config.input_encoding, config.target_encoding) == ("translate", Encoding.RGB, Encoding.RGB)

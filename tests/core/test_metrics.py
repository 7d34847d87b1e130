import math

import numpy as np
import pytest
import torch
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from core.facades import facade_pair
from core.metrics import Comparison, ssim


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    photo = facade_pair(3, size=128).photo
    noise = np.random.default_rng(0).normal(0, 12, photo.shape)
    return photo, np.clip(photo + noise, 0, 255).astype(np.uint8)


def as_tensor(frame: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(frame).permute(2, 0, 1)[None].float()


def test_ssim_is_that_of_torchmetrics_inside_the_picture(pair: tuple[np.ndarray, np.ndarray]) -> None:
    one, other = pair
    # torchmetrics counts windows that reach over the border; Wang et al. (and this project) do not
    _, theirs = structural_similarity_index_measure(
        as_tensor(other), as_tensor(one), data_range=255.0, return_full_image=True
    )
    assert ssim(one, other) == pytest.approx(float(theirs[..., 5:-5, 5:-5].mean()), abs=1e-4)


def test_psnr_is_that_of_torchmetrics(pair: tuple[np.ndarray, np.ndarray]) -> None:
    comparison = Comparison()
    comparison.add(*pair)
    theirs = peak_signal_noise_ratio(as_tensor(pair[1]), as_tensor(pair[0]), data_range=255.0)
    assert comparison.psnr_db == pytest.approx(float(theirs), abs=1e-4)


def test_differences_are_in_8_bit_steps_over_all_frames() -> None:
    black = np.zeros((16, 16, 3), np.uint8)
    comparison = Comparison()
    comparison.add(black, black)
    comparison.add(black, black + np.uint8(10))
    assert comparison.frames == 2
    assert comparison.max_abs == 10
    assert comparison.mean_abs == pytest.approx(5.0)
    assert comparison.psnr_db == pytest.approx(20 * math.log10(255) - 10 * math.log10(50))


def test_differences_do_not_wrap_around() -> None:
    comparison = Comparison()
    comparison.add(np.zeros((16, 16, 3), np.uint8), np.full((16, 16, 3), 255, np.uint8))
    assert comparison.max_abs == 255
    assert comparison.psnr_db == pytest.approx(0.0)


def test_equal_frames_have_a_finite_psnr_above_any_other() -> None:
    frame = np.full((16, 16, 3), 7, np.uint8)
    equal, nearly = Comparison(), Comparison()
    equal.add(frame, frame)
    changed = frame.copy()
    changed[0, 0, :2] = 8
    nearly.add(frame, changed)
    assert math.isfinite(equal.psnr_db)
    assert equal.psnr_db > nearly.psnr_db
    assert equal.ssim == pytest.approx(1.0)

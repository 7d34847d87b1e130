"""How close two pictures are: PSNR, SSIM and differences in 8-bit steps, on frames."""

import math
from dataclasses import dataclass, field
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from core.frames import Frame

PEAK: Final = 255.0
SSIM_WINDOW: Final = 11
SSIM_SIGMA: Final = 1.5


def psnr_from_mse(mse: float, samples: int) -> float:
    """Peak signal-to-noise ratio in dB of 8-bit pictures that differ by ``mse`` over ``samples`` values.

    Equal pictures have no finite PSNR; they are given that of a single one-step difference among all samples, which
    is a lower bound and can be written to JSON.
    """
    return 10 * math.log10(PEAK**2 / max(mse, 1 / samples))


def ssim(one: Frame, other: Frame) -> float:
    """Mean structural similarity of two frames of equal size, averaged over the three channels (-1 to 1).

    Wang et al. 2004, "Image quality assessment: from error visibility to structural similarity", with their Gaussian
    window of 11 x 11 and sigma 1.5; only windows that lie inside the picture count.
    """

    def blur(image: NDArray[np.float32]) -> NDArray[np.float32]:
        blurred = cv2.GaussianBlur(image, (SSIM_WINDOW, SSIM_WINDOW), SSIM_SIGMA)
        margin = SSIM_WINDOW // 2 if min(image.shape[:2]) > SSIM_WINDOW else 0
        inside = blurred[margin : blurred.shape[0] - margin, margin : blurred.shape[1] - margin]
        return np.asarray(inside, dtype=np.float32)

    x, y = one.astype(np.float32), other.astype(np.float32)
    mean_x, mean_y = blur(x), blur(y)
    variance_x = blur(x * x) - mean_x * mean_x
    variance_y = blur(y * y) - mean_y * mean_y
    covariance = blur(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x * mean_x + mean_y * mean_y + c1)
    structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return float(np.mean(luminance * structure))


@dataclass(slots=True)
class Comparison:
    """Differences of pairs of frames, added up.

    PSNR is that of the mean squared error over all frames; SSIM is the mean of the frames' own.
    """

    frames: int = 0
    max_abs: int = 0
    """Largest difference of any value, in 8-bit steps."""
    _samples: int = 0
    _absolute: float = 0.0
    _squared: float = 0.0
    _ssim: list[float] = field(default_factory=list)

    def add(self, one: Frame, other: Frame) -> None:
        """Take in one pair of frames of equal shape."""
        assert one.shape == other.shape, f"{one.shape} against {other.shape}"
        difference = np.abs(one.astype(np.int32) - other.astype(np.int32))
        self.frames += 1
        self.max_abs = max(self.max_abs, int(difference.max()))
        self._samples += difference.size
        self._absolute += float(difference.sum(dtype=np.int64))
        self._squared += float((difference * difference).sum(dtype=np.int64))
        self._ssim.append(ssim(one, other))

    @property
    def mean_abs(self) -> float:
        """Mean absolute difference in 8-bit steps (the paper's L1 times 127.5)."""
        return self._absolute / self._samples

    @property
    def psnr_db(self) -> float:
        """Peak signal-to-noise ratio in dB."""
        return psnr_from_mse(self._squared / self._samples, self._samples)

    @property
    def ssim(self) -> float:
        """Mean structural similarity."""
        return float(np.mean(self._ssim))

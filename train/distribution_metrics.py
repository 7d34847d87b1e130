"""LPIPS and FID: measures that need a network of someone else's, whose weights are fetched once.

The weights are looked for, and kept, where PyTorch keeps those of torchvision: ``$TORCH_HOME/hub/checkpoints``. Where
they cannot be had the measure is refused with ``UnavailableError``, which says why and where they would be looked for.
"""

import hashlib
import http.client
import pickle
import re
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from core.errors import UnavailableError
from core.frames import Frame, Size, to_network

TIMEOUT_S: Final = 10.0
"""Without an answer for so long, a download is given up."""
SMALLEST_SIDE: Final = 31
"""In pixels: of smaller pictures nothing is left at AlexNet's second pooling."""
FEATURES: Final = 2048
"""Of Inception v3's last pooling: with fewer pictures than that, their covariance is not of full rank."""


@dataclass(frozen=True)
class Weights:
    """Published weights of a network."""

    network: str
    url: str
    """Ends in the file name, which holds the beginning of the file's SHA-256."""
    megabytes: int

    @property
    def path(self) -> Path:
        """Where they are looked for, and kept."""
        return Path(torch.hub.get_dir()) / "checkpoints" / self.url.rpartition("/")[2]

    @property
    def sha256_prefix(self) -> str:
        """How the SHA-256 of the published file begins."""
        found = re.search(r"-([0-9a-f]{8,})\.", self.url)
        assert found is not None, self.url
        return found[1]


ALEXNET: Final = Weights("AlexNet", "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth", 233)
INCEPTION: Final = Weights(
    "Inception v3",
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
    91,
)

Tell = Callable[[str], None]
"""Shows the user one line."""


class PerceptualDistance:
    """LPIPS (Zhang et al. 2018, "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric") by AlexNet.

    0 for equal pictures; the larger, the more different they look.
    """

    def __init__(self, *, size: Size, device: torch.device, tell: Tell) -> None:
        """Load AlexNet, from the network if need be, for pictures of ``size``.

        Raises:
            UnavailableError: if that cannot be done.
        """
        if min(size) < SMALLEST_SIDE:
            raise UnavailableError(f"AlexNet needs pictures of {SMALLEST_SIDE} pixels or more, and these are {size}")
        _require("torchvision", "torchmetrics")
        with _loaded(ALEXNET, tell):
            from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

            self._measure = LearnedPerceptualImagePatchSimilarity(net_type="alex")
        self.published = _are_published(ALEXNET, tell)
        """Whether its weights are the published ones."""
        self._measure.to(device)

    def measure(self, one: Frame, other: Frame) -> float:
        """The distance of two frames."""
        with torch.inference_mode():
            return float(self._measure(*(to_network(_tensor(frame, self._measure.device)) for frame in (one, other))))


class DistributionDistance:
    """FID (Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule ...", section 2) by Inception v3.

    Distance of the distribution of translations from that of targets, 0 if they are alike. It is biased upwards by the
    number of pictures, most of all below ``FEATURES``: compare values of equally many only.
    """

    def __init__(self, *, pictures: int, device: torch.device, tell: Tell) -> None:
        """Load Inception v3, from the network if need be, for a set of ``pictures`` translations.

        Raises:
            UnavailableError: if that cannot be done, or two sets of so many pictures cannot be compared.
        """
        if pictures < 2:
            raise UnavailableError("a distribution needs two pictures or more, and there is one")
        _require("torch_fidelity", "torchmetrics")
        with _loaded(INCEPTION, tell):
            from torchmetrics.image.fid import FrechetInceptionDistance

            self._measure = FrechetInceptionDistance(FEATURES)
        self.published = _are_published(INCEPTION, tell)
        """Whether its weights are the published ones."""
        self._measure.to(device)

    def add(self, translation: Frame, target: Frame) -> None:
        """Take in one picture of each kind."""
        with torch.inference_mode():
            for frame, real in ((translation, False), (target, True)):
                rgb = _tensor(frame, self._measure.device).flip(3).permute(0, 3, 1, 2)
                self._measure.update(rgb, real=real)

    def compute(self) -> float:
        """The distance of what has been added; takes a few seconds."""
        with torch.inference_mode():
            return max(0.0, float(self._measure.compute()))


def _tensor(frame: Frame, device: torch.device) -> Tensor:
    return torch.from_numpy(frame)[None].to(device)


def _require(*modules: str) -> None:
    for module in modules:
        package = module.replace("_", "-")
        try:
            import_module(module)
        except ImportError as error:
            if isinstance(error, ModuleNotFoundError) and error.name == module:
                raise UnavailableError(f"{package} is not installed: pip install {package}") from error
            raise UnavailableError(f"{package} cannot be loaded ({error}): install it again") from error


@contextmanager
def _loaded(weights: Weights, tell: Tell) -> Iterator[None]:
    """See to it that ``weights`` are there for the block to load; what is wrong with them is ``UnavailableError``."""
    path = weights.path
    if not path.is_file():
        tell(f"downloading the weights of {weights.network} ({weights.megabytes} MB, once) to {path}")
        _download(weights, path)
    try:
        torch.load(path, map_location="cpu", weights_only=True)  # the libraries load without that guard
        yield
    except (OSError, RuntimeError, ValueError, KeyError, EOFError, AttributeError, pickle.UnpicklingError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UnavailableError(
            f"the weights of {weights.network} in {path} cannot be used ({reason[:120]}): remove that file"
        ) from error


def _are_published(weights: Weights, tell: Tell) -> bool:
    """Whether ``weights`` are what their network is known by; what they measure cannot be compared otherwise."""
    digest = hashlib.sha256(weights.path.read_bytes()).hexdigest()
    if digest.startswith(weights.sha256_prefix):
        return True
    tell(
        f"the weights of {weights.network} in {weights.path} are not the published ones (SHA-256 {digest[:8]}..., not "
        f"{weights.sha256_prefix}...): do not compare what they measure with figures of others"
    )
    return False


def _download(weights: Weights, path: Path) -> None:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_S)  # torch.hub has none of its own, and would wait for ever
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(weights.url, str(path), weights.sha256_prefix, progress=sys.stderr.isatty())
    except (OSError, http.client.HTTPException, RuntimeError, ValueError) as error:
        # no network, no space, or another file than the published one
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        reason = getattr(reason, "strerror", None) or reason
        raise UnavailableError(
            f"the weights of {weights.network} could not be downloaded ({reason}): put {weights.url} at {path}"
        ) from error
    finally:
        socket.setdefaulttimeout(before)

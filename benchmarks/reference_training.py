"""pix2pix training as the well-known public repositories write it: the yardstick of ``benchmarks.training``.

Networks, data and loop are those of junyanz/pytorch-CycleGAN-and-pix2pix (``networks.py``, ``aligned_dataset.py``,
``pix2pix_model.py``, ``train.py``) with its pix2pix defaults: nested U-Net, batch norm, PIL and torchvision transforms
in DataLoader workers, default Adam, eager fp32 with PyTorch's own switches, losses read every 100 steps. Nothing here
is taken from ``core`` or ``train``: it knows only torch, torchvision and Pillow. One thing is different: the two
convolutions that no normalization follows have a bias, as in the paper, so that parameters are as many as ours.
"""

import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms  # type: ignore[import-untyped]
from torchvision.transforms.functional import hflip  # type: ignore[import-untyped]

LAMBDA_L1: Final = 100.0
PRINT_EVERY: Final = 100
"""Steps between two readings of the losses (``--print_freq``)."""
WORKERS: Final = 4
"""DataLoader processes (``--num_threads``)."""
DROPOUT_BLOCKS: Final = 3


class UnetBlock(nn.Module):
    """One level of the U-Net around the next deeper one, and the skip connection past it."""

    def __init__(
        self,
        outer: int,
        inner: int,
        submodule: nn.Module | None,
        *,
        inputs: int | None = None,
        outermost: bool = False,
        dropout: bool = False,
    ) -> None:
        super().__init__()
        self.outermost = outermost
        innermost = submodule is None
        down_conv = nn.Conv2d(inputs or outer, inner, 4, stride=2, padding=1, bias=outermost or innermost)
        up_conv = nn.ConvTranspose2d(inner if innermost else 2 * inner, outer, 4, stride=2, padding=1, bias=outermost)
        down_relu, up_relu = nn.LeakyReLU(0.2, True), nn.ReLU(True)
        layers: list[nn.Module]
        if outermost:
            assert submodule is not None
            layers = [down_conv, submodule, up_relu, up_conv, nn.Tanh()]
        elif submodule is None:
            layers = [down_relu, down_conv, up_relu, up_conv, nn.BatchNorm2d(outer)]
        else:
            down = [down_relu, down_conv, nn.BatchNorm2d(inner)]
            layers = [*down, submodule, up_relu, up_conv, nn.BatchNorm2d(outer)]
            if dropout:
                layers.append(nn.Dropout(0.5))
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """What comes up from below, beside what was given (except at the outermost level)."""
        inside: Tensor = self.model(x)
        return inside if self.outermost else torch.cat([x, inside], 1)


def unet(width: int, levels: int, *, dropout: bool = True) -> nn.Module:
    """``UnetGenerator`` with ``ngf = width`` and ``num_downs = levels``, at least 5; three channels in and out."""
    assert levels >= 5
    widest = 8 * width
    block = UnetBlock(widest, widest, None)
    for i in range(levels - 5):
        block = UnetBlock(widest, widest, block, dropout=dropout and i < DROPOUT_BLOCKS)
    for factor in (4, 2, 1):
        block = UnetBlock(width * factor, width * factor * 2, block)
    return UnetBlock(3, width, block, inputs=3, outermost=True)


def patch_gan(width: int) -> nn.Module:
    """``NLayerDiscriminator`` with ``ndf = width`` and three layers: a receptive field of 70 pixels."""
    layers: list[nn.Module] = [nn.Conv2d(6, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2, True)]
    for factor in (1, 2):
        inputs, outputs = width * factor, width * factor * 2
        layers += [nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(outputs)]
        layers.append(nn.LeakyReLU(0.2, True))
    layers += [nn.Conv2d(width * 4, width * 8, 4, stride=1, padding=1, bias=False), nn.BatchNorm2d(width * 8)]
    layers += [nn.LeakyReLU(0.2, True), nn.Conv2d(width * 8, 1, 4, stride=1, padding=1)]
    return nn.Sequential(*layers)


def initialize(network: nn.Module) -> None:
    """``init_weights`` with ``init_type = normal``, gain 0.02."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
            nn.init.zeros_(module.bias)


class AlignedDataset(Dataset[dict[str, Tensor]]):
    """Side-by-side images: opened, split, enlarged (bicubic), cropped and mirrored alike, and normalized, each time."""

    def __init__(self, paths: Sequence[Path], load_size: int, crop_size: int) -> None:
        self.paths = list(paths)
        self.load_size, self.crop_size = load_size, crop_size

    def __len__(self) -> int:
        """Number of images."""
        return len(self.paths)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """``A`` and ``B``: ``float32 [3, crop_size, crop_size]`` RGB in [-1, 1]."""
        image = Image.open(self.paths[index]).convert("RGB")
        width, height = image.size
        room = self.load_size - self.crop_size
        transform = self._transform(random.randint(0, room), random.randint(0, room), flip=random.random() > 0.5)
        return {
            "A": transform(image.crop((0, 0, width // 2, height))),
            "B": transform(image.crop((width // 2, 0, width, height))),
        }

    def _transform(self, left: int, top: int, *, flip: bool) -> Any:
        size = self.crop_size
        steps = [
            transforms.Resize([self.load_size, self.load_size], transforms.InterpolationMode.BICUBIC),
            transforms.Lambda(lambda image: image.crop((left, top, left + size, top + size))),
        ]
        if flip:
            steps.append(transforms.Lambda(hflip))
        return transforms.Compose([*steps, transforms.ToTensor(), transforms.Normalize((0.5,) * 3, (0.5,) * 3)])


class ReferenceModel:
    """``Pix2PixModel``: both networks, their optimizers, and ``optimize_parameters``."""

    def __init__(self, *, width: int, levels: int, device: torch.device, dropout: bool = True) -> None:
        self.device = device
        self.generator, self.discriminator = unet(width, levels, dropout=dropout), patch_gan(width)
        for network in (self.generator, self.discriminator):
            initialize(network)
            network.to(device)
        self.optimizer_g = torch.optim.Adam(self.generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
        self.optimizer_d = torch.optim.Adam(self.discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
        self.gan_loss, self.l1_loss = nn.BCEWithLogitsLoss(), nn.L1Loss()
        self.losses: dict[str, Tensor] = {}

    def set_input(self, data: dict[str, Tensor]) -> None:
        """The pairs of the next step."""
        self.real_a, self.real_b = data["A"].to(self.device), data["B"].to(self.device)

    def optimize_parameters(self) -> None:
        """One step: the generator's forward pass, the discriminator's update, the generator's update."""
        self.fake_b = self.generator(self.real_a)
        self.discriminator.requires_grad_(True)
        self.optimizer_d.zero_grad()
        self._backward_d()
        self.optimizer_d.step()
        self.discriminator.requires_grad_(False)
        self.optimizer_g.zero_grad()
        self._backward_g()
        self.optimizer_g.step()

    def current_losses(self) -> dict[str, float]:
        """The last step's losses as numbers: waits for the device."""
        return {name: loss.item() for name, loss in self.losses.items()}

    def _criterion(self, prediction: Tensor, *, real: bool) -> Tensor:
        target = torch.tensor(1.0 if real else 0.0, device=self.device).expand_as(prediction)
        loss: Tensor = self.gan_loss(prediction, target)
        return loss

    def _backward_d(self) -> None:
        fake = self.discriminator(torch.cat((self.real_a, self.fake_b), 1).detach())
        self.losses["D_fake"] = self._criterion(fake, real=False)
        real = self.discriminator(torch.cat((self.real_a, self.real_b), 1))
        self.losses["D_real"] = self._criterion(real, real=True)
        ((self.losses["D_fake"] + self.losses["D_real"]) * 0.5).backward()  # type: ignore[no-untyped-call]

    def _backward_g(self) -> None:
        prediction = self.discriminator(torch.cat((self.real_a, self.fake_b), 1))
        self.losses["G_GAN"] = self._criterion(prediction, real=True)
        self.losses["G_L1"] = self.l1_loss(self.fake_b, self.real_b) * LAMBDA_L1
        (self.losses["G_GAN"] + self.losses["G_L1"]).backward()  # type: ignore[no-untyped-call]


class ReferenceLoop:
    """``train.py``: pass after pass over the data, a step a batch."""

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        width: int,
        levels: int,
        batch: int,
        load_size: int,
        crop_size: int,
        device: torch.device,
        workers: int = WORKERS,
    ) -> None:
        torch.backends.cudnn.benchmark = True  # as BaseModel does
        self.model = ReferenceModel(width=width, levels=levels, device=device)
        dataset = AlignedDataset(paths, load_size, crop_size)
        self.loader = DataLoader(dataset, batch_size=batch, shuffle=True, num_workers=workers, drop_last=True)
        self.waited = 0.0
        """Seconds until batches were there and on the device."""
        self._steps = 0
        self._batches = self._passes()

    def step(self) -> None:
        """Fetch a batch and train on it."""
        started = time.perf_counter()
        self.model.set_input(next(self._batches))
        self.waited += time.perf_counter() - started
        self.model.optimize_parameters()
        self._steps += 1
        if self._steps % PRINT_EVERY == 0:
            self.model.current_losses()

    def close(self) -> None:
        """Stop the workers."""
        self._batches = iter(())

    def _passes(self) -> Iterator[dict[str, Tensor]]:
        while True:
            yield from self.loader

"""Other projects' networks, written from their description: same structure, same names of tensors, same way to save.

Nothing here knows this project's networks. Every parameter and running statistic is random, so that one that lands in
the wrong place, or is forgotten, shows in the picture.
"""

import functools
from collections.abc import Callable

import torch
from torch import Tensor, nn

NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": functools.partial(nn.BatchNorm2d, affine=True, track_running_stats=True),
    "instance": functools.partial(nn.InstanceNorm2d, affine=False, track_running_stats=False),
    "old instance": functools.partial(nn.InstanceNorm2d, affine=False, track_running_stats=True),
    "affine instance": functools.partial(nn.InstanceNorm2d, affine=True),
    "none": lambda _channels: nn.Identity(),
}
"""pytorch-CycleGAN-and-pix2pix's, the one of its first years, and one of its forks."""


class NestedBlock(nn.Module):
    """``UnetSkipConnectionBlock``."""

    def __init__(
        self, outer: int, inner: int, *, norm: str, bias: bool, inputs: int | None = None,
        below: "NestedBlock | None" = None, outermost: bool = False, dropout: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.outermost = outermost
        down: list[nn.Module] = [] if outermost else [nn.LeakyReLU(0.2, True)]
        down.append(nn.Conv2d(inputs or outer, inner, 4, 2, 1, bias=bias))
        up: list[nn.Module] = [nn.ReLU(True)]
        up.append(nn.ConvTranspose2d(2 * inner if below else inner, outer, 4, 2, 1, bias=bias or outermost))
        if outermost:
            up.append(nn.Tanh())
        else:
            up.append(NORMS[norm](outer))
            if below is not None:
                down.append(NORMS[norm](inner))
        layers = [*down, *([below] if below else []), *up, *([nn.Dropout(0.5)] if dropout and below else [])]
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x) if self.outermost else torch.cat([x, self.model(x)], 1)


class NestedUNet(nn.Module):
    """``UnetGenerator``: ``unet_256`` has 8 levels, ``unet_128`` 7; never fewer than 5."""

    def __init__(
        self, inputs: int, outputs: int, levels: int, width: int, *, norm: str, bias: bool, dropout: bool = False
    ) -> None:
        super().__init__()
        kind = {"norm": norm, "bias": bias}
        block = NestedBlock(8 * width, 8 * width, **kind)
        for _ in range(levels - 5):
            block = NestedBlock(8 * width, 8 * width, below=block, dropout=dropout, **kind)
        for factor in (4, 2, 1):
            block = NestedBlock(factor * width, 2 * factor * width, below=block, **kind)
        self.model = NestedBlock(outputs, width, inputs=inputs, below=block, outermost=True, **kind)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class NumberedBlock(nn.Module):
    """``ResnetBlock``."""

    def __init__(self, width: int, *, norm: str, bias: bool, padding: str, dropout: bool) -> None:
        super().__init__()
        pad = [nn.ReflectionPad2d(1)] if padding == "reflect" else []
        zeros = 0 if padding == "reflect" else 1
        layers = [*pad, nn.Conv2d(width, width, 3, padding=zeros, bias=bias), NORMS[norm](width), nn.ReLU(True)]
        layers += [nn.Dropout(0.5)] if dropout else []
        layers += [*pad, nn.Conv2d(width, width, 3, padding=zeros, bias=bias), NORMS[norm](width)]
        self.conv_block = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_block(x)


class NumberedResNet(nn.Module):
    """``ResnetGenerator``: ``resnet_9blocks``, ``resnet_6blocks``."""

    def __init__(
        self, inputs: int, outputs: int, blocks: int, width: int, *, norm: str, bias: bool,
        padding: str = "reflect", dropout: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        layers = [nn.ReflectionPad2d(3), nn.Conv2d(inputs, width, 7, bias=bias), NORMS[norm](width), nn.ReLU(True)]
        for factor in (1, 2):
            layers.append(nn.Conv2d(factor * width, 2 * factor * width, 3, stride=2, padding=1, bias=bias))
            layers += [NORMS[norm](2 * factor * width), nn.ReLU(True)]
        for _ in range(blocks):
            layers.append(NumberedBlock(4 * width, norm=norm, bias=bias, padding=padding, dropout=dropout))
        for factor in (4, 2):
            half = factor * width // 2
            layers.append(nn.ConvTranspose2d(factor * width, half, 3, 2, padding=1, output_padding=1, bias=bias))
            layers += [NORMS[norm](half), nn.ReLU(True)]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, outputs, 7), nn.Tanh()]
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class NamedBlock(nn.Module):
    """``Block`` of the reflect-padded generator."""

    def __init__(self, inputs: int, outputs: int, *, down: bool, dropout: bool = False) -> None:
        super().__init__()
        resampling = (
            nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False, padding_mode="reflect")
            if down
            else nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False)
        )
        self.conv = nn.Sequential(resampling, nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2) if down else nn.ReLU())
        self.dropout = nn.Dropout(0.5) if dropout else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.conv(x))


class ReflectUNet(nn.Module):
    """``Generator`` with ``initial_down``, ``down1..6``, ``bottleneck``, ``up1..7``, ``final_up`` (8 levels)."""

    def __init__(self, inputs: int, outputs: int, width: int, *, levels: int = 8) -> None:
        super().__init__()
        self.between = levels - 2
        channels = [width * min(2**i, 8) for i in range(levels)]
        self.initial_down = nn.Sequential(nn.Conv2d(inputs, width, 4, 2, 1, padding_mode="reflect"), nn.LeakyReLU(0.2))
        for i in range(1, levels - 1):
            self.add_module(f"down{i}", NamedBlock(channels[i - 1], channels[i], down=True))
        self.bottleneck = nn.Sequential(nn.Conv2d(channels[-2], channels[-1], 4, 2, 1), nn.ReLU())
        below = channels[-1]
        for i in range(1, levels):
            outputs_here = channels[levels - 1 - i]
            self.add_module(f"up{i}", NamedBlock(below, outputs_here, down=False, dropout=i <= 3))
            below = 2 * outputs_here
        self.final_up = nn.Sequential(nn.ConvTranspose2d(below, outputs, 4, 2, 1), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        kept = [self.initial_down(x)]
        for i in range(1, self.between + 1):
            kept.append(self.get_submodule(f"down{i}")(kept[-1]))
        x = self.get_submodule("up1")(self.bottleneck(kept[-1]))
        for i in range(2, self.between + 2):
            x = self.get_submodule(f"up{i}")(torch.cat([x, kept.pop()], 1))
        return self.final_up(torch.cat([x, kept.pop()], 1))


def randomize(network: nn.Module, seed: int = 0) -> None:
    """Weights that keep the signal's size, and everything else anything but its initial value."""
    torch.manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.normal_(module.bias, 0.0, 0.3)
        elif isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d):
            if module.weight is not None:
                nn.init.normal_(module.weight, 1.0, 0.3)
                nn.init.normal_(module.bias, 0.0, 0.3)
            if module.running_mean is not None and module.running_var is not None:
                nn.init.normal_(module.running_mean, 0.0, 0.3)
                nn.init.uniform_(module.running_var, 0.5, 1.5)


def used_as_trained(network: nn.Module) -> nn.Module:
    """``network`` as pytorch-CycleGAN-and-pix2pix's tests use it, but for dropout: statistics of the picture itself."""
    network.train()
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
    return network

"""A generator put together from its configuration and a file's tensors, once these are known to belong to it."""

from collections.abc import Mapping

import torch
from torch import Tensor

from core.configuration import GeneratorConfig
from core.networks import Generator, build_generator


def blank_generator(config: GeneratorConfig) -> Generator:
    """The generator of ``config`` without memory for its weights (device ``meta``): what shapes they have."""
    with torch.device("meta"):
        return build_generator(config)


def assemble_generator(config: GeneratorConfig, weights: Mapping[str, Tensor]) -> Generator:
    """The generator of ``config`` with copies of ``weights``, in evaluation mode.

    Nothing is allocated before names and shapes are right, so a file cannot claim more than it holds.

    Raises:
        ValueError: if a tensor is missing, too much, of another shape, or not made of finite numbers.
    """
    generator = blank_generator(config)
    expected = generator.state_dict()
    belong = expected.keys() == weights.keys() and all(weights[name].shape == expected[name].shape for name in expected)
    if not belong:
        raise ValueError(f"its weights are not those of {describe(config)}")
    if not all(bool(tensor.isfinite().all()) for tensor in weights.values()):
        raise ValueError("some of its weights are not finite numbers")
    own = {name: weights[name].to(tensor.dtype, copy=True).contiguous() for name, tensor in expected.items()}
    generator.load_state_dict(own, assign=True)
    return generator.eval()


def describe(config: GeneratorConfig) -> str:
    """``config`` in a few words, for messages."""
    return f"a generator of width {config.width}, {config.levels} levels ({config.architecture}, {config.norm} norm)"

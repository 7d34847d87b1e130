"""Batch normalization in use: the picture's own statistics after training at batch 1, running statistics otherwise."""

import pytest
import torch
from torch import Tensor, nn

from core.configuration import GeneratorConfig, Norm
from core.networks import UNetGenerator
from core.networks.inference_mode import infers_with_instance_statistics, set_inference_mode, set_training_mode


@pytest.fixture
def generator() -> UNetGenerator:
    """A small U-Net that has seen a few batches, so that its running statistics are some."""
    torch.manual_seed(0)
    network = UNetGenerator(GeneratorConfig(width=4, levels=5))
    for _ in range(3):
        network(torch.rand(2, 3, 32, 32) * 2 - 1)
    return network


def buffers(network: nn.Module) -> dict[str, Tensor]:
    return {name: buffer.clone() for name, buffer in network.named_buffers()}


def with_instance_norm(network: UNetGenerator) -> UNetGenerator:
    """The same weights in a network whose normalization layers are ``InstanceNorm2d(affine=True)``."""
    other = UNetGenerator(network.config)
    other.load_state_dict(network.state_dict())
    for block in [*other.encoder, *other.decoder]:
        assert isinstance(block, nn.Sequential)
        for i, layer in enumerate(block):
            if isinstance(layer, nn.BatchNorm2d):
                instance = nn.InstanceNorm2d(layer.num_features, eps=layer.eps, affine=True)
                instance.weight, instance.bias = layer.weight, layer.bias
                block[i] = instance
    return other.eval()


def test_after_batch_1_it_is_instance_normalization_without_dropout(generator: UNetGenerator) -> None:
    set_inference_mode(generator, batch=1)
    picture = torch.rand(1, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        first, again = generator(picture), generator(picture)
        reference = with_instance_norm(generator)(picture)
    assert torch.equal(first, again)
    assert torch.allclose(first, reference, atol=1e-5)
    assert first.std() > 1e-4


def test_looking_does_not_change_the_running_statistics(generator: UNetGenerator) -> None:
    before = buffers(generator)
    for batch in (1, 4):
        set_inference_mode(generator, batch=batch)
        with torch.no_grad():
            generator(torch.rand(1, 3, 32, 32))
    assert all(torch.equal(before[name], buffer) for name, buffer in generator.named_buffers())
    set_training_mode(generator)
    generator(torch.rand(2, 3, 32, 32))
    assert any(not torch.equal(before[name], buffer) for name, buffer in generator.named_buffers())


def test_after_larger_batches_it_is_the_running_statistics(generator: UNetGenerator) -> None:
    picture = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        reference = generator.eval()(picture)
        generator.train()
        set_inference_mode(generator, batch=4)
        assert torch.equal(generator(picture), reference)


@pytest.mark.parametrize(
    ("norm", "batch", "own"),
    [(Norm.BATCH, 1, True), (Norm.BATCH, 2, False), (Norm.INSTANCE, 4, True), (Norm.NONE, 1, False)],
)
def test_which_statistics(norm: Norm, batch: int, own: bool) -> None:
    assert infers_with_instance_statistics(GeneratorConfig(norm=norm), batch) is own

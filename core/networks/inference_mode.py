"""Which normalization a generator meets in use: the statistics of the picture itself, or those of the training set."""

from torch import nn

from core.configuration import GeneratorConfig, Norm
from core.networks.generator import Generator


def infers_with_instance_statistics(config: GeneratorConfig, batch: int) -> bool:
    """Whether a generator trained at ``batch`` images a step meets each picture with that picture's own statistics.

    True for instance normalization, and for batch normalization trained at batch size 1: there the network has only
    ever seen the statistics of single pictures, which is what the paper keeps at test time (Isola et al. 2017,
    section 3.4); running statistics give it inputs it does not know, and blurred, dark pictures.
    """
    return config.norm is Norm.INSTANCE or (config.norm is Norm.BATCH and batch == 1)


def set_inference_mode(generator: Generator, *, batch: int) -> None:
    """Put ``generator`` in the mode its pictures are meant to be made in; ``set_training_mode`` undoes it.

    Dropout is off (for video it only flickers). Batch normalization uses running statistics, or, where
    ``infers_with_instance_statistics`` says so, those of what it is given: **one picture at a time** then (N = 1), for
    which it is ``InstanceNorm2d(affine=True)`` with the same gain, bias and epsilon.

    The running statistics are not touched: ``BatchNorm2d`` in training mode adds to them only while
    ``track_running_stats`` is true, which is therefore switched off here. No module is replaced and no weight copied,
    so it costs nothing to look at a generator in the middle of its training.
    """
    generator.eval()
    own_statistics = infers_with_instance_statistics(generator.config, batch)
    for module in generator.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train(own_statistics)
            module.track_running_stats = not own_statistics


def set_training_mode(generator: Generator) -> None:
    """Put ``generator`` back in training mode: dropout on, batch statistics used and added to the running ones."""
    generator.train()
    for module in generator.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.track_running_stats = True

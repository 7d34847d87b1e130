"""The number formats an artifact can be made in."""

from enum import StrEnum


class Precision(StrEnum):
    """What weights and activations of an artifact are stored in.

    What an engine *executes* in is another matter: OpenVINO's FP16 is a storage format on a CPU, for one.
    """

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"

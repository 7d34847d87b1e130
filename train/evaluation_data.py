"""Where the pairs of an evaluation lie, which depends on what the generator was trained for."""

from collections.abc import Callable

from core.checkpoint import read_info
from train.data_source import locate_data
from train.evaluation_request import EvaluationRequest


def with_data(request: EvaluationRequest, *, say: Callable[[str], None]) -> EvaluationRequest:
    """``request`` with the data that was asked for found, fetched if it is a known set, and its layout decided.

    Raises:
        CheckpointError: if the generator cannot be read.
        InvalidInputError: if there is no such data.
    """
    if request.data is None:
        return request
    info = read_info(request.checkpoint)
    source, layout = locate_data(
        request.data, layout=request.layout, condition=info.data.condition, task=info.generator.task, say=say
    )
    return request.model_copy(update={"data": source, "layout": layout})

"""All that is checked."""

from benchmarks.gpu_check import ceilings, engines, pipeline, training
from benchmarks.gpu_check.checks import Check


def all_checks() -> list[Check]:
    """Every check, in the order of the report."""
    return [*ceilings.checks(), *training.checks(), *engines.checks(), *pipeline.checks()]

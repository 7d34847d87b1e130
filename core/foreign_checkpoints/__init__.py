"""Generators trained by other projects, recognised by the names of their tensors and read as this project's own."""

from core.foreign_checkpoints.importing import import_checkpoint, is_foreign

__all__ = ["import_checkpoint", "is_foreign"]

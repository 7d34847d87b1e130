"""What exporting needs beyond the base installation."""

from core.errors import MissingDependencyError
from core.formats import is_installed


def require_export_libraries() -> None:
    """Raise ``MissingDependencyError`` naming the extra, unless PyTorch, ONNX and their companions are installed."""
    missing = [name for name in ("torch", "safetensors", "onnx", "onnxscript") if not is_installed(name)]
    if missing:
        raise MissingDependencyError(", ".join(missing), "export", "exporting")

"""What exporting needs beyond the base installation."""

from collections.abc import Sequence

from core.errors import MissingDependencyError
from core.formats import is_installed


def require_export_libraries() -> None:
    """Raise ``MissingDependencyError`` naming the extra, unless PyTorch, ONNX and their companions are installed."""
    _require(("torch", "safetensors", "onnx", "onnxscript"), extra="export", purpose="exporting")


def require_demo_libraries() -> None:
    """The same for everything the demo uses."""
    _require(("torch", "tensorboard", "safetensors"), extra="all", purpose="the demo")
    _require(("onnx", "onnxscript", "openvino", "nncf", "matplotlib", "jinja2"), extra="all", purpose="the demo")


def _require(modules: Sequence[str], *, extra: str, purpose: str) -> None:
    missing = [name for name in modules if not is_installed(name)]
    if missing:
        raise MissingDependencyError(", ".join(missing), extra, purpose)

"""``python -m benchmarks.gpu_check``: see ``benchmarks.gpu_check.command``."""

import sys
from importlib.util import find_spec
from typing import Final

NEEDED: Final = ("cv2", "numpy", "pydantic", "rich", "safetensors", "torch", "typer")
"""What the check itself takes; all else is a row with a reason where it is missing."""

if __name__ == "__main__":
    missing = [module for module in NEEDED if find_spec(module) is None]
    if missing:
        print(f"error: {', '.join(missing)} not installed: pip install '.[train]' in a checkout", file=sys.stderr)
        sys.exit(2)
    try:
        from benchmarks.gpu_check.command import main
        from core.command_line import run_command
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    run_command(main, name="gpu-check")

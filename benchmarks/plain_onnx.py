"""An ONNX file as ONNX Runtime alone sees and runs it: nothing but NumPy, ONNX Runtime and the standard library.

``python benchmarks/plain_onnx.py MODEL [--threads N] [--runs 40] [--warm-up 6]``

Prints one line of JSON: version and providers of ONNX Runtime, name, type and shape of inputs and outputs, and raw
milliseconds a call. Warm-up calls come first and are not counted. The input is random, of the type and shape that the
file says; what it leaves open is taken for 1.
"""

import argparse
import json
import time
from typing import Any

import numpy as np
import onnxruntime


def main() -> None:
    """Time the model that the command line names."""
    parser = argparse.ArgumentParser(description="Time an ONNX file with ONNX Runtime alone.")
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=0, help="0: as ONNX Runtime chooses")
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--warm-up", type=int, default=6)
    asked = parser.parse_args()

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = asked.threads
    options.log_severity_level = 3  # an FP16 file makes it warn of every cast
    session = onnxruntime.InferenceSession(asked.model, options, providers=["CPUExecutionProvider"])
    feeds = {node.name: random_input(node) for node in session.get_inputs()}
    for _ in range(asked.warm_up):
        session.run(None, feeds)
    raw_ms = []
    for _ in range(asked.runs):
        start = time.perf_counter()
        session.run(None, feeds)
        raw_ms.append(round(1000 * (time.perf_counter() - start), 4))
    record = {
        "onnxruntime": onnxruntime.__version__,
        "providers": session.get_providers(),
        "inputs": [described(node) for node in session.get_inputs()],
        "outputs": [described(node) for node in session.get_outputs()],
        "raw_ms": raw_ms,
    }
    print(json.dumps(record))


def random_input(node: Any) -> "np.ndarray[Any, Any]":
    """Bytes for a ``uint8`` input, values in [0, 1) for any other."""
    shape = [side if isinstance(side, int) else 1 for side in node.shape]
    random = np.random.default_rng(0)
    if node.type == "tensor(uint8)":
        return random.integers(0, 256, shape, dtype=np.uint8)
    return random.random(shape).astype(np.float16 if node.type == "tensor(float16)" else np.float32)


def described(node: Any) -> dict[str, Any]:
    """Name, type and shape of an input or output."""
    return {"name": node.name, "type": node.type.removeprefix("tensor(").rstrip(")"), "shape": node.shape}


if __name__ == "__main__":
    main()

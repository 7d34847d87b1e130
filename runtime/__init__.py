"""Running an exported bundle live: engines, sources, sinks, the pipeline between them, and its latencies.

Nothing here imports PyTorch, torchvision, ONNX or NNCF, directly or through others.
"""

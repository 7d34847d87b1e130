"""What quantization learns from: representative frames."""

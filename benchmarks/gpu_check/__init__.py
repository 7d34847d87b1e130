"""One command that makes the most of whatever GPU it is started on: see ``benchmarks.gpu_check.command``."""

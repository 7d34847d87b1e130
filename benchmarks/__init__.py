"""Measurements behind the figures in the docs: scripts that say machine, versions, warm-up and runs."""

"""From a trained generator to a bundle: artifacts for every target, each compared and timed as it will run."""

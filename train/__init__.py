"""Training: paired data in, a run folder with the generator, its samples and its figures out."""

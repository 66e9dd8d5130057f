"""Weights: the records of models, their files on disk, and the Hub that they come from and go to."""

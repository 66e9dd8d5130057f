"""Weights: the records of models, their files on disk, and getting them from the Hub and onto it."""

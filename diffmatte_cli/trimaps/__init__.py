"""Trimaps: what their levels mean, how they are made out of masks, and what is wrong with them."""

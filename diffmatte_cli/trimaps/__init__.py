"""Trimaps: what their levels mean, how they are made from masks, and what is wrong with them."""

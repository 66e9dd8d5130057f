"""Training: synthesis of samples, Algorithm 1, losses, and the loop. Needs the ``[train]`` extra."""

"""What matting takes, in seconds and memory: measured, and estimated beforehand."""

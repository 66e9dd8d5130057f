"""Time and memory of matting, measured and estimated."""

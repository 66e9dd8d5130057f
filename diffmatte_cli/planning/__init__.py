"""Plan a run, and find every conflict, before an image is opened."""

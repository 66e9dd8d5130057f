"""From alpha to what is written: foregrounds, backgrounds, cutouts, and pictures of the steps."""

"""From alpha to what is written: foregrounds, backgrounds, cutouts, and images of the steps."""

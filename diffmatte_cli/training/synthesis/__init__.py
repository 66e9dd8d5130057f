"""Training samples: what is drawn, what is read from disk, and how both are composed."""

"""Process-wide state: signals, threads, libraries' limits and warnings."""

"""What a whole process shares: signals that end it, threads, and libraries' limits and warnings."""

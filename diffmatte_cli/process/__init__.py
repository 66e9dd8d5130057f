"""What the whole process shares: warnings and libraries' limits."""

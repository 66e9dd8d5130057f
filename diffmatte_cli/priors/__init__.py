"""What is known of alpha before any learning: from the colours of the known regions."""

"""Compare mattes with true ones: test sets, metrics, scores and plots."""

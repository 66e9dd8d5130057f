"""How far mattes are from the true ones: test sets, metrics, scores and plots."""

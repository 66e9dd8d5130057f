"""From a photograph and its trimap to alpha: inference within a memory budget."""

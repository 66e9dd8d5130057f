"""From a photograph and its trimap to alpha: the model at work, within a limit of memory."""

"""The encoders: one module each, named as in ``VARIANTS``, and what they share."""

"""Torch: the image, text and fusion encoders, their training and their evaluation."""

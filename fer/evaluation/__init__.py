"""Logits, metrics, calibration, corruptions and comparisons of models."""

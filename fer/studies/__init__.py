"""The two reports' experiments, repeated."""

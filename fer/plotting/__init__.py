"""Arrays to figures and images."""

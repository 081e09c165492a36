"""The Confusion tab."""

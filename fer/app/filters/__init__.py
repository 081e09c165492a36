"""The Filters tab."""

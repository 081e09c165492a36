"""The Activations tab."""

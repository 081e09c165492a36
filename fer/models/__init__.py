"""The networks, their registry, and checkpoints of them."""

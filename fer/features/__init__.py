"""What the layers and filters of a network see: activations, feature visualization, redundancy, pruning."""

"""Training a network: settings, targets, the loop, and several processes."""

"""The Saliency tab."""

"""Why a model answers as it does: saliency maps, and how faithful they are."""

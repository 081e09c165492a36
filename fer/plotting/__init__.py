"""Arrays to figures and images.

`evaluation.confusion_matrix_figure`, `evaluation.risk_coverage_curve`, `evaluation.reliability_diagram`,
`training.training_curves`, `training.pruning_curves`, `maps.overlay`, `maps.signed_rgb`, `maps.tile_images`,
`encode.data_url`, `encode.figure_url`.
"""

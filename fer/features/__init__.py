"""What the layers and filters of a network see: activations, feature visualization, redundancy, pruning.

`activations.activation_maps`, `activations.iter_layer_outputs`, `receptive_field.receptive_field`,
`visualization.visualize`, `presets.PRESETS`, `atlas.load_layer`, `redundancy.measure_redundancy`,
`redundancy.count_dead`, `pruning.prune_sequence`, `pruning_curve.measure_pruning`, `layer_report.layer_report`.
"""

"""Training: recipes, the loop, soft targets, distillation and weight transfer.

- ``TrainConfig``, ``default_config`` (`config`); ``fit`` (`trainer`, and `distillation` with the teachers of the folds)
- ``make_batch``, ``soft_targets`` (`targets`); ``transfer_weights`` (`weight_transfer`)
- ``distributed_context`` (`distributed`); ``read_history`` (`history`)
"""

"""Architectures, their registry, and checkpoints of them.

- ``register_model``, ``ARCHITECTURES``, ``build_layers``, ``label_set`` (`registry`)
- ``FERModel``, ``load_model``, ``load_meta``, ``save_model``, ``list_models``, ``CheckpointError`` (`checkpoint`)
- ``Ensemble`` (`ensemble`), ``OnnxModel`` (`onnx`)
- ``clone_shared``, ``fuse_for_inference`` (`clone`), ``layer_table``, ``count_parameters`` (`summary`)

A new architecture is a file here, named in the import below.
"""

from fer.models import cnn, dnn, vgg, compact  # noqa: F401, I001 (registers them; lists of models keep this order)

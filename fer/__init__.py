"""A laboratory for facial-expression networks: train, measure, look inside, and try on a live face.

    from fer import Predictor, explain, load_model

The names most programs need. Each is imported when it is first used:

- ``load_model(name)``: a model by name, folder, Hub repository, ensemble or ONNX file
- ``Predictor(name)``: predicts every face of a photograph
- ``explain(model, faces, method, target)``: attribution maps
- ``faithfulness_correlation``, ``occlusion_drops``: how faithful a map is (Bhatt et al. 2020)
- ``activation_maps(model, layer, faces)``: the activations of every filter of a layer
- ``visualize(model, layer, filters)``: feature visualization by gradient ascent
- ``load_fer2013(root)``: FER-2013 and FER+
- ``classification_metrics(logits, labels, is_duplicate)``: accuracy with its interval, F1, calibration, confusion
"""

from importlib import import_module

_PUBLIC = {
    "load_model": "models.checkpoint",
    "Predictor": "inference.predictor",
    "explain": "attribution.explain",
    "faithfulness_correlation": "attribution.faithfulness",
    "occlusion_drops": "attribution.faithfulness",
    "activation_maps": "features.activations",
    "visualize": "features.visualization",
    "load_fer2013": "data.fer2013",
    "classification_metrics": "evaluation.metrics",
}
__all__ = list(_PUBLIC)


def __getattr__(name: str) -> object:
    """A public name, from the module that defines it: ``import fer`` alone imports nothing."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'fer' has no attribute {name!r}: expected one of {', '.join(_PUBLIC)}")
    return getattr(import_module(f"fer.{_PUBLIC[name]}"), name)

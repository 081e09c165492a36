"""A laboratory for facial-expression networks: train, measure, look inside, and try on a live face.

    from fer import Predictor, explain, load

What programs need stands here by name, and is imported when it is first used:

- ``load(name)``: a network by name, folder, Hub repository, committee or ONNX file (`models.checkpoint.load`)
- ``Predictor(name)``: photographs to readings (`inference.predictor.Predictor`)
- ``explain(network, faces, method, target)``: a saliency map for every face (`attribution.explain.explain`)
- ``region_correlation``, ``square_falls``: how faithful a map is (`attribution.faithfulness`)
- ``feature_maps(network, layer, faces)``: what every filter of a layer answers (`features.activations.maps`)
- ``ascend(network, layer, filters)``: the pictures that filters answer most, growing (`features.visualization.ascend`)
- ``load_data(root)``: FER-2013 and FER+ (`data.fer2013.load`); ``figures(logits, labels, twin)`` (`evaluation.metrics`)
"""

from importlib import import_module

_FRONT = {
    "load": "models.checkpoint.load",
    "Predictor": "inference.predictor.Predictor",
    "explain": "attribution.explain.explain",
    "region_correlation": "attribution.faithfulness.region_correlation",
    "square_falls": "attribution.faithfulness.square_falls",
    "feature_maps": "features.activations.maps",
    "ascend": "features.visualization.ascend",
    "load_data": "data.fer2013.load",
    "figures": "evaluation.metrics.figures",
}
__all__ = list(_FRONT)


def __getattr__(name: str) -> object:
    """What _FRONT names, from the module where it lives: `import fer` alone imports nothing."""
    if name not in _FRONT:
        raise AttributeError(f"module 'fer' has no attribute {name!r}: expected one of {', '.join(_FRONT)}")
    module, _, own = _FRONT[name].rpartition(".")
    return getattr(import_module(f"fer.{module}"), own)

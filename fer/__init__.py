"""A laboratory for facial-expression networks: train, measure, look inside, and try on a live face.

    from fer import Predictor, explain, load

What programs need stands here by name, and is imported when it is first used:

- ``load(name)``: a network by name, folder, Hub repository, committee or ONNX file (`checkpoint.load`)
- ``Predictor(name)``: photographs to readings (`predictor.Predictor`)
- ``explain(network, faces, method, target)``: a saliency map for every face (`saliency.explain`)
- ``region_correlation``, ``square_falls``: how faithful a map is (`faithfulness`)
- ``feature_maps(network, layer, faces)``: what every filter of a layer answers (`activations.maps`)
- ``ascend(network, layer, filters)``: the pictures that filters answer most, growing (`ascent.ascend`)
- ``load_data(root)``: FER-2013 and FER+ (`data.load`); ``figures(logits, labels, twin)`` (`evaluation.figures`)
"""

from importlib import import_module

_FRONT = {
    "load": "checkpoint.load",
    "Predictor": "predictor.Predictor",
    "explain": "saliency.explain",
    "region_correlation": "faithfulness.region_correlation",
    "square_falls": "faithfulness.square_falls",
    "feature_maps": "activations.maps",
    "ascend": "ascent.ascend",
    "load_data": "data.load",
    "figures": "evaluation.figures",
}
__all__ = list(_FRONT)


def __getattr__(name: str) -> object:
    """What _FRONT names, from the room where it lives: `import fer` alone imports nothing."""
    if name not in _FRONT:
        raise AttributeError(f"module 'fer' has no attribute {name!r}: expected one of {', '.join(_FRONT)}")
    room, own = _FRONT[name].split(".")
    return getattr(import_module(f"fer.{room}"), own)

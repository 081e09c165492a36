"""What the Saliency tab says of its methods: one sentence each, how faithful they were found, and which do not hold."""

from torch import nn

from fer import attributions, faithfulness
from fer.saliency import methods_for, offered

METHODS = {
    "integrated-gradients": "What each pixel adds on the way from the baseline, a blurred face, to this one.",
    "occlusion": "How far the answer falls when a square of the face is blurred.",
    "gradient": "Where a small change would change the answer most; report 1's method.",
    "input-x-gradient": "The gradient times the pixel's brightness; black pixels get nothing.",
    "smoothgrad": "The mean gradient over 32 noisy copies of the face, which calms it.",
    "gradient-shap": "Gradients at random points between the blurred face and noisy copies of this one.",
    "deeplift": "Hands the difference from the blurred face down, layer by layer, to the pixels.",
    "ablation": "How far the answer falls when one cell of an 8x8 grid is blurred.",
    "region-shap": "What eyes, brows, mouth, nose, cheeks and the rest each add, whichever are blurred already.",
    "hirescam": "Where the maps of a late convolution speak for the answer; coarse.",
    "grad-cam": "The maps of a late convolution, each weighed as a whole; coarse.",
    "guided-backprop": "A gradient without what is negative on its way; sharp, but it mostly draws edges.",
    "guided-grad-cam": "Guided backpropagation where Grad-CAM is positive.",
    "deconvolution": "A gradient that is rectified on its way back, whatever the face was like.",
}


def order(network: nn.Module, measured: list[dict]) -> list[str]:
    """The methods that hold for the network: those that were measured first, the most faithful of them foremost."""
    known = offered(network)
    ranked = [row["method"] for row in measured if row["method"] in known]
    return ranked + [method for method in known if method not in ranked]


def hint(network: nn.Module, method: str, measured: list[dict]) -> str:
    """What the method does, how faithful it was found, and which others do not hold for this network, and why."""
    missing: dict[str, list[str]] = {}
    for other, reason in methods_for(network).items():
        if reason:
            missing.setdefault(reason, []).append(other)
    left_out = [f"Not for {network.name}: {', '.join(names)}. {reason}" for reason, names in missing.items()]
    words = METHODS.get(method) or attributions.METHODS[method].__doc__.splitlines()[0]
    return "\n\n".join([words, *_measured(method, measured), *left_out])


def _measured(method: str, rows: list[dict]) -> list[str]:
    """Its mean region correlation over many faces beside that of the best map that knows nothing of the network."""
    scores = {row["method"]: row for row in rows}
    if method not in scores:
        return []
    control = max((name for name in scores if name in faithfulness.CONTROLS), key=lambda n: scores[n]["correlation"])
    row = scores[method]
    words = (
        f"Over {row['faces']} faces its region correlation is {row['correlation']:+.2f} on average; the map "
        f"{control!r}, which knows nothing of the network, has {scores[control]['correlation']:+.2f}."
    )
    if (row["forgotten"] or 0) > faithfulness.DEPENDENT:
        words += f" Its maps do not depend on what the network learnt: rank correlation {row['forgotten']:.2f}."
    return [words]

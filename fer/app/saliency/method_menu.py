"""The Saliency tab's methods: their published names and papers, and their rank in the model's benchmark."""

from torch import nn

from fer.attribution import faithfulness
from fer.attribution.explain import list_methods, method_applicability
from fer.attribution.methods import METHODS

# By method: its published name, the paper, and where that is.
PAPERS = {
    "integrated-gradients": ("Integrated Gradients", "Sundararajan et al. 2017", "https://arxiv.org/abs/1703.01365"),
    "occlusion": ("Occlusion", "Zeiler and Fergus 2014", "https://arxiv.org/abs/1311.2901"),
    "gradient": ("Vanilla gradient", "Simonyan et al. 2014", "https://arxiv.org/abs/1312.6034"),
    "input-x-gradient": ("Input × gradient", "Shrikumar et al. 2016", "https://arxiv.org/abs/1605.01713"),
    "smoothgrad": ("SmoothGrad", "Smilkov et al. 2017", "https://arxiv.org/abs/1706.03825"),
    "gradient-shap": ("Gradient SHAP", "Erion et al. 2021", "https://arxiv.org/abs/1906.10670"),
    "deeplift": ("DeepLIFT", "Shrikumar et al. 2017", "https://arxiv.org/abs/1704.02685"),
    "ablation": ("Feature ablation", "Zeiler and Fergus 2014", "https://arxiv.org/abs/1311.2901"),
    "region-shap": ("Shapley by region", "Lundberg and Lee 2017", "https://arxiv.org/abs/1705.07874"),
    "hirescam": ("HiResCAM", "Draelos and Carin 2020", "https://arxiv.org/abs/2011.08891"),
    "grad-cam": ("Grad-CAM", "Selvaraju et al. 2017", "https://arxiv.org/abs/1610.02391"),
    "guided-backprop": ("Guided backpropagation", "Springenberg et al. 2015", "https://arxiv.org/abs/1412.6806"),
    "guided-grad-cam": ("Guided Grad-CAM", "Selvaraju et al. 2017", "https://arxiv.org/abs/1610.02391"),
    "deconvolution": ("Deconvolution", "Zeiler and Fergus 2014", "https://arxiv.org/abs/1311.2901"),
}
CONTROLS = {"blob": "centre Gaussian", "edges": "edge detector", "noise": "random"}


def name(method: str) -> str:
    """The published name of a method, or what a model-independent baseline is."""
    return PAPERS[method][0] if method in PAPERS else CONTROLS.get(method, method)


def order(model: nn.Module, measured: list[dict]) -> list[str]:
    """The methods that hold for the model: those in its benchmark first, the most faithful of them foremost."""
    known = list_methods(model)
    ranked = [row["method"] for row in measured if row["method"] in known]
    return ranked + [method for method in known if method not in ranked]


def choices(model: nn.Module, measured: list[dict]) -> list[tuple[str, str]]:
    """The menu's entries, each with the method's rank where there is a benchmark."""
    ranks = {method: place for place, (method, _) in enumerate(_ranking(measured), 1)}
    labels = {method: f" · rank {ranks[method]}" if method in ranks else "" for method in order(model, measured)}
    return [(name(method) + label, method) for method, label in labels.items()]


def hint(model: nn.Module, method: str, measured: list[dict]) -> str:
    """What the method does, its paper, its rank, and which others do not hold for this model and why; Markdown."""
    missing: dict[str, list[str]] = {}
    for other, reason in method_applicability(model).items():
        if reason:
            missing.setdefault(reason, []).append(name(other))
    left_out = [f"Not for {model.name}: {', '.join(names)}. {reason}" for reason, names in missing.items()]
    paper = f" [{PAPERS[method][1]}]({PAPERS[method][2]})" if method in PAPERS else ""
    return "\n\n".join([METHODS[method].description + paper, *left_out])


def rank_text(method: str, measured: list[dict]) -> tuple[str, bool | None]:
    """The method's rank over many faces as a sentence, and whether it is above all model-independent baselines.

    None where it has not been measured.
    """
    rows = {row["method"]: row for row in measured}
    ranking = [known for known, _ in _ranking(measured)]
    if method not in ranking:
        return "This method has not been benchmarked for this model.", None
    controls = [row["faithfulness_correlation"] for known, row in rows.items() if known in faithfulness.CONTROL_MAPS]
    row, best = rows[method], max(controls, default=0.0)
    text = (
        f"{name(method)} ranks {ranking.index(method) + 1} of {len(ranking)} methods over {row['n']} faces: mean "
        f"perturbation correlation {row['faithfulness_correlation']:+.2f}, best model-independent baseline {best:+.2f}."
    )
    if (row["randomization_rank_corr"] or 0) > faithfulness.INSENSITIVE_CORRELATION:
        text += f" It fails parameter randomisation (rank correlation {row['randomization_rank_corr']:.2f})."
        return text, False
    return text, row["faithfulness_correlation"] > best


def _ranking(measured: list[dict]) -> list[tuple[str, float]]:
    scores = [
        (row["method"], row["faithfulness_correlation"])
        for row in measured
        if row["method"] not in faithfulness.CONTROL_MAPS
    ]
    return sorted(scores, key=lambda entry: -entry[1])

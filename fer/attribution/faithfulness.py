"""How far a saliency map can be trusted: what happens to the network's answer when the face is changed where it points.

    changes = changed(network, faces, target)                        # once for all maps of these faces
    scores(maps, contributions, changes)                                   # (2, B): 1 is right, 0 is a map at random
    curves(network, faces, maps, target)                             # deletion and insertion, two of (B, S + 1)
    rank_correlation(maps, explain(randomised(network, "last"), faces, method, target))

No figure says much alone: guided backpropagation has good curves and hardly depends on the network (Adebayo et al.
2018, arXiv 1810.03292). So each stands beside that of CONTROLS, maps that know nothing of the network.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.transforms.functional import gaussian_blur

from fer.attribution.explain import blur
from fer.inference import predictor
from fer.models.clone import clone_shared

OCCLUSION_SIZE, OCCLUSION_ROWS = (
    12,
    7,
)  # 49 squares of one size: with sizes that vary, a positive map at random reaches .48
INSENSITIVE_CORRELATION = 0.8  # a rank correlation above it: the map does not depend on what the network learnt
_BLOCK = 64  # faces that go through the network at once


# ---------------------------------------------------------------------- faithfulness correlation (Bhatt et al. 2020)


def occlusion_drops(
    network: nn.Module, faces: Tensor, target: int | Tensor, against: int | Tensor | None = None
) -> Tensor:
    """How much the logit, or the difference of two, falls when a square of 12x12 is blurred: (B, 49).

    The squares lie 6 pixels apart in 7 rows; faces are (B, 1, 48, 48) floats in 0..1.
    """
    squares = _occlusion_masks(faces)  # (49, H, W)
    changed = torch.where(squares[:, None, None], blur(faces), faces)  # (49, B, 1, H, W)
    scores = _explained_logits(network, changed.flatten(0, 1), _repeat_labels(target, 49), _repeat_labels(against, 49))
    return (_explained_logits(network, faces, target, against) - scores.view(49, len(faces))).T  # (B, 49)


def faithfulness_correlation(maps: Tensor, drops: Tensor) -> Tensor:
    """Pearson's correlation (B,), over the 49 squares, of the maps' sums with `occlusion_drops`; 0 for a constant map.

    maps: (B, 1, 48, 48). drops: (B, 49).
    """
    sums = torch.einsum("bhw,shw->bs", maps[:, 0].double(), _occlusion_masks(maps).double())  # (B, 49)
    return _correlation(sums, drops)


def _occlusion_masks(faces: Tensor) -> Tensor:
    """Which pixels each of the 49 squares covers: bool (49, H, W)."""
    height, width = faces.shape[-2:]
    if (height, width) != (48, 48):
        raise ValueError(f"faces are {height}x{width}: the squares are laid out on 48x48")
    starts = torch.arange(OCCLUSION_ROWS, device=faces.device) * (width - OCCLUSION_SIZE) // (OCCLUSION_ROWS - 1)
    pixels = torch.arange(width, device=faces.device)
    inside = (pixels >= starts[:, None]) & (pixels < starts[:, None] + OCCLUSION_SIZE)  # (7, 48)
    return (inside[:, None, :, None] & inside[None, :, None, :]).flatten(0, 1)


def _explained_logits(network: nn.Module, faces: Tensor, target: int | Tensor, against: int | Tensor | None) -> Tensor:
    """The target's logit, less that which it is explained against: (N,)."""
    rows = torch.arange(len(faces), device=faces.device)
    with torch.inference_mode():
        logits = torch.cat([network(block) for block in faces.split(_BLOCK)])  # (N, K)
        return logits[rows, target] - (0 if against is None else logits[rows, against])


def _repeat_labels(labels: int | Tensor | None, times: int) -> int | Tensor | None:
    return labels.repeat(times) if isinstance(labels, Tensor) and labels.ndim else labels


# ------------------------------------------------------------------------------ infidelity score (Yeh et al. 2019)


@dataclass(frozen=True)
class Perturbations:
    """Faces with smoothly strengthened and weakened detail, and the resulting changes of the logit.

    detail_gain: relative change of each pixel's detail (face less blurred face), (N, H, W). logit_changes: (B, N).
    """

    detail_gain: Tensor
    logit_changes: Tensor


def perturb(
    network: nn.Module, faces: Tensor, target: int | Tensor, against: int | Tensor | None = None, draws: int = 48
) -> Perturbations:
    """Changes of the logit when each pixel gets more or less detail, by normal noise of a deviation of a half.

    Detail is what the blurred face lacks. The noise is blurred by 4 pixels, for its own edges would be answered too.
    """
    drawn = torch.randn(draws, 1, *faces.shape[-2:], generator=torch.Generator().manual_seed(0))
    soft = gaussian_blur(drawn, 25, 4.0).to(faces)  # (N, 1, H, W)
    detail = soft / soft.std() / 2
    changed = faces + detail[:, None] * (faces - blur(faces))  # (N, B, 1, H, W)
    scores = _explained_logits(
        network, changed.flatten(0, 1), _repeat_labels(target, draws), _repeat_labels(against, draws)
    )
    return Perturbations(
        detail[:, 0], (scores.view(draws, len(faces)) - _explained_logits(network, faces, target, against)).T
    )


def infidelity_score(contributions: Tensor, perturbations: Perturbations) -> Tensor:
    """How well contributions (B, 1, 48, 48) predict the changes of the logit: (B,), 0 not at all to 1 perfectly.

    1 - infidelity / infidelity of a map of zeros (Yeh et al. 2019), each map at its best scale above 0: infidelity
    alone grows with the map's unit.
    """
    foretold = torch.einsum("bhw,nhw->bn", contributions[:, 0].double(), perturbations.detail_gain.double())  # (B, N)
    pair = [_scale_to_unit(values) for values in (foretold, perturbations.logit_changes)]
    return functional.cosine_similarity(*pair).clamp_min(0) ** 2


# ------------------------------------------------------------------------------------------------ both


@dataclass(frozen=True)
class OutputChanges:
    """Changes of the explained logit of some faces: by blurring squares, and by smooth perturbations."""

    occlusion_drops: Tensor  # (B, 49)
    perturbations: Perturbations


def output_changes(
    network: nn.Module, faces: Tensor, target: int | Tensor, against: int | Tensor | None = None
) -> OutputChanges:
    """Measures both with 97 forward passes a face."""
    return OutputChanges(*(change(network, faces, target, against) for change in (occlusion_drops, perturb)))


def faithfulness_scores(maps: Tensor, contributions: Tensor, changes: OutputChanges) -> Tensor:
    """Faithfulness correlation of maps (B, 1, 48, 48) and infidelity score of their contributions: (2, B)."""
    return torch.stack(
        [
            faithfulness_correlation(maps, changes.occlusion_drops),
            infidelity_score(contributions, changes.perturbations),
        ]
    )


# ------------------------------------------------------------------------------------------------ the masked face


def keep_top_pixels(faces: Tensor, maps: Tensor, share: float | Tensor) -> Tensor:
    """The face where the map is highest, and its blurred self elsewhere: (B, 1, H, W) like both.

    share: how much of the face stays, 0..1, or one for each face (B,). 1 is the face itself, bit for bit.
    """
    share = torch.as_tensor(share, device=faces.device, dtype=torch.float64).expand(len(faces))
    if not (share.min() >= 0 and share.max() <= 1):
        raise ValueError(f"share is {share.tolist()}: expected 0 to 1")
    order = maps.flatten(1).argsort(dim=1, descending=True, stable=True)  # (B, H * W), the pixels from the highest down
    places = order.argsort(1).view_as(maps)  # (B, 1, H, W)
    kept = (share * order.shape[1]).round().long()
    return torch.where(places < kept.view(-1, 1, 1, 1), faces, blur(faces))


def smooth(maps: Tensor) -> Tensor:
    """Maps without their grain, by a Gaussian of 1.5 pixels: a mask of them keeps patches, not scattered pixels."""
    return gaussian_blur(maps, 9, 1.5)


def deletion_insertion_curves(
    network: nn.Module, faces: Tensor, maps: Tensor, target: int | Tensor, steps: int = 16
) -> tuple[Tensor, ...]:
    """The target's probability while the map's highest pixels go, and while they come (Petsiuk et al. 2018, RISE).

    Deletion and insertion, each float64 (B, steps + 1) over equal shares from 0 to 1: deletion begins with the face and
    ends with its blurred self, insertion the other way round. A good map falls early and rises early.
    """
    shares = torch.linspace(0, 1, steps + 1)
    deletion = [keep_top_pixels(faces, -maps, 1 - share) for share in shares]
    insertion = [keep_top_pixels(faces, maps, share) for share in shares]
    chances = [_target_probabilities(network, torch.cat(run), target, steps + 1) for run in (deletion, insertion)]
    return tuple(run.view(steps + 1, len(faces)).T for run in chances)


def area_under_curve(curve: Tensor) -> Tensor:
    """The mean height (B,) of curves (B, S + 1), by trapezoids: low is good for deletion, high for insertion."""
    return torch.trapezoid(curve, dim=1) / (curve.shape[1] - 1)


def _target_probabilities(network: nn.Module, faces: Tensor, target: int | Tensor, times: int) -> Tensor:
    """The target's calibrated probability (N,) on the CPU, of faces that came `times` times over."""
    rows = torch.arange(len(faces))
    target = target.cpu() if isinstance(target, Tensor) else target
    shares = torch.cat([predictor.calibrated_probabilities(network, block) for block in faces.split(_BLOCK)])
    return shares[rows, _repeat_labels(target, times)]


# ------------------------------------------------------------------------------------------------ controls


def edge_map(faces: Tensor) -> Tensor:
    """The strength of Sobel's edges: (B, 1, H, W)."""
    across = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]).to(faces)
    padded = functional.pad(faces, [1] * 4, mode="replicate")
    return functional.conv2d(padded, torch.stack([across, across.T])[:, None]).norm(dim=1, keepdim=True)


def centre_blob(faces: Tensor) -> Tensor:
    """A Gaussian in the middle, a fifth of the side wide: where a face mostly is."""
    side = faces.shape[-1]
    line = torch.exp(-(((torch.arange(side) - (side - 1) / 2) / (side / 5)) ** 2) / 2).to(faces)
    return (line[:, None] * line).expand_as(faces)


def noise_map(faces: Tensor, seed: int = 0) -> Tensor:
    """Normal noise, the same for every face and at every call."""
    return torch.randn(faces.shape[1:], generator=torch.Generator().manual_seed(seed)).to(faces).expand_as(faces)


CONTROL_MAPS: dict[str, Callable[[Tensor], Tensor]] = {"edges": edge_map, "blob": centre_blob, "noise": noise_map}


def control_scores(faces: Tensor, changes: OutputChanges, draws: int = 32) -> dict[str, Tensor]:
    """The controls' `scores` (2, B), by name; for noise the mean of 32 draws: one may correlate by .4."""
    found = {
        name: faithfulness_scores(control(faces), control(faces), changes) for name, control in CONTROL_MAPS.items()
    }
    drawn = [faithfulness_scores(noise_map(faces, seed), noise_map(faces, seed), changes) for seed in range(draws)]
    return found | {"noise": torch.stack(drawn).mean(0)}


# ------------------------------------------------------------------------------------------------ what was learnt


def randomize_parameters(network: nn.Module, which: str = "last", seed: int = 0) -> nn.Module:
    """A copy whose last layer, or `all` of them, has forgotten what it learnt (Adebayo et al. 2018).

    Each parameter is drawn from a normal of its own mean and deviation, so that the signal keeps its size. Of a
    ensemble, every member's.
    """
    if which not in ("last", "all"):
        raise ValueError(f"which is {which!r}: expected last or all")
    generator, copied = torch.Generator().manual_seed(seed), clone_shared(network)
    for chain in getattr(copied, "members", [copied]):
        layers = [module for module in chain.modules() if list(module.parameters(recurse=False))]
        for layer in layers[-1:] if which == "last" else layers:
            for name, value in list(layer.named_parameters(recurse=False)):
                drawn = torch.randn(value.shape, generator=generator).to(value)
                drawn = value.mean() + value.std(correction=0) * drawn
                setattr(layer, name, nn.Parameter(drawn.detach()))  # a new one: the old is the shared network's
    return copied


def rank_correlation(first: Tensor, second: Tensor) -> Tensor:
    """Spearman's correlation (B,) of the sizes of two maps (B, 1, H, W); 0 where one of them is the same all over."""
    return _correlation(*(torch.stack([_ranks(row) for row in maps.abs().flatten(1)]) for maps in (first, second)))


def _ranks(values: Tensor) -> Tensor:
    """Ranks (N,) from 1 up; equal values share the mean of theirs."""
    _, which, counts = values.unique(return_inverse=True, return_counts=True)
    return (counts.cumsum(0) - (counts - 1) / 2)[which].double()


def _correlation(first: Tensor, second: Tensor) -> Tensor:
    """Pearson's, row by row: (B, N) and (B, N) -> (B,); 0 where a row has one value only."""
    rows = [_scale_to_unit(values) for values in (first, second)]
    return functional.cosine_similarity(*(values - values.mean(1, keepdim=True) for values in rows), dim=1)


def _scale_to_unit(values: Tensor) -> Tensor:
    """Rows (B, N) with a largest size of 1, so that nothing small is taken for 0."""
    return values.double() / values.double().abs().amax(1, keepdim=True).clamp_min(1e-300)

"""The methods of `saliency`, each a function from a question to maps; all gradients and hooks are Captum's.

Noise comes from a generator of the call's own: Captum's NoiseTunnel and GradientShap draw theirs from the state that
all threads share, which would make two visitors' maps depend on each other.

A new one is a function with `@register_method(...)` in a file of its own, which `explain.py` imports.

Left out: LRP, which Captum 0.9 refuses for most of our layers and which equals input times gradient on the rest.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import factorial

import torch
from captum import attr
from torch import Tensor, nn

from fer.attribution import face_regions
from fer.attribution.captum_compat import NON_RELU_ACTIVATIONS, deeplift_compatible
from fer.attribution.target_layer import default_layer, target_layers
from fer.models.layers import Normalize

NUM_SAMPLES, BATCH_SIZE = 32, 16  # noisy copies of a face; faces that go through the network at once


@dataclass(frozen=True)
class AttributionRequest:
    """What a method is asked. Its network is the call's own and puts out (B, n); `target` picks one of n per face."""

    network: nn.Module
    faces: Tensor  # (B, 1, H, W)
    target: Tensor  # (B,)
    baseline: Tensor  # (B, 1, H, W)
    layer: str | None
    seed: int


# What the values of a kind of maps are, and whether it takes gradients of the network:
KINDS = {
    "gradient": True,  # slopes, by a pixel's brightness: times the difference from a baseline they become contributions
    "contribution": True,  # what each pixel adds to the logit, by gradients
    "activation": True,  # a layer's maps, weighed by gradients and enlarged
    "perturbation": False,  # how the logit falls when pixels change, by forward passes alone
}


@dataclass(frozen=True)
class Method:
    """A saliency method; see `register_method`."""

    attribute: Callable[[AttributionRequest], Tensor]
    kind: str
    layered: bool
    passes: int
    description: str
    unfit: Callable[[nn.Module], str | None] | None

    def reason_against(self, network: nn.Module) -> str | None:
        """One sentence why the method does not hold for this network, or None."""
        checks = (
            [_needs_gradients] * KINDS[self.kind] + [_needs_conv_layer] * self.layered + [self.unfit] * bool(self.unfit)
        )
        return next((reason for check in checks if (reason := check(network))), None)


METHODS: dict[str, Method] = {}  # by name, in the order of the menus


def register_method(
    *,
    kind: str,
    layered: bool = False,
    passes: int = 1,
    description: str | None = None,
    unfit: Callable[[nn.Module], str | None] | None = None,
) -> Callable[[Callable[[AttributionRequest], Tensor]], Callable[[AttributionRequest], Tensor]]:
    """Makes a function from a `Question` to maps (B, 1, H, W) a method, named as it is, with hyphens.

    kind: one of KINDS, by which the maps' infidelity is computed. layered: whether it explains a layer, which can then
    be chosen. passes: about how many faces go through the network for one face's map. description: a sentence for the
    page, else the docstring's first line. unfit: why the method does not hold for a network, a sentence, or None.

    Raises:
        ValueError: an unknown kind, passes below 1, or a name that there is already.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}: expected one of {', '.join(KINDS)}")
    if passes < 1:
        raise ValueError(f"passes is {passes}: expected at least 1")

    def register(attribute: Callable[[AttributionRequest], Tensor]) -> Callable[[AttributionRequest], Tensor]:
        name = attribute.__name__.replace("_", "-")
        if name in METHODS:
            raise ValueError(f"there is a method {name!r} already")
        words = description or (attribute.__doc__ or f"{name}.").strip().splitlines()[0]
        METHODS[name] = Method(attribute, kind, layered, passes, words, unfit)
        return attribute

    return register


# ------------------------------------------------------------------------------------------------ what holds where


_DEEPLIFT = (
    *(nn.ReLU, nn.SELU, nn.ELU, nn.LeakyReLU, nn.Sigmoid, nn.Tanh, nn.Softplus, nn.MaxPool2d),
    *(nn.Conv2d, nn.Linear, nn.BatchNorm1d, nn.BatchNorm2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d),
    *(nn.Flatten, nn.Dropout, nn.Identity, Normalize),
)


def _needs_gradients(network: nn.Module) -> str | None:
    if all(getattr(module, "differentiable", True) for module in network.modules()):
        return None
    return "It is an ONNX file, which gives no gradients."


def _needs_conv_layer(network: nn.Module) -> str | None:
    if not isinstance(network, nn.Sequential):
        return "It is no single chain of layers, so it has no layer whose maps could be weighed."
    return None if target_layers(network) else "It has no convolution, so it has no maps that could be weighed."


def _needs_relu(network: nn.Module) -> str | None:
    modules = list(network.modules())
    bent = sorted({type(module).__name__ for module in modules if isinstance(module, NON_RELU_ACTIVATIONS)})
    if bent:
        return f"Its {' and '.join(bent)} layers are no ReLU: there, the method is the plain gradient without a word."
    if not any(isinstance(module, nn.ReLU) for module in modules):
        return "It has no ReLU, and without one the method is the plain gradient."
    return None


def _needs_deeplift_rules(network: nn.Module) -> str | None:
    if not isinstance(network, nn.Sequential):
        return "It is no single chain of layers, and DeepLIFT has rules for layers only."
    other = sorted({type(layer).__name__ for layer in network if type(layer) not in _DEEPLIFT})
    return f"DeepLIFT has no rule for its {' and '.join(other)} layers." if other else None


# ------------------------------------------------------------------------------------------------ methods


@register_method(
    kind="contribution",
    passes=26,
    description="What each pixel adds on the way from the baseline, a blurred face, to this one.",
)
def integrated_gradients(q: AttributionRequest) -> Tensor:
    """The gradients on the way from the baseline to the face (Sundararajan et al. 2017).

    The sum is the difference of the two outputs within 1 %, or within .1 % of the sum of sizes where all but cancels
    out: for the faces that miss it the 24 steps are doubled, to 192 at most.
    """
    method, maps = attr.IntegratedGradients(q.network), torch.zeros_like(q.baseline)
    rough = torch.arange(len(q.faces), device=q.faces.device)
    for steps in (24, 48, 96, 192):
        part, gaps = method.attribute(
            q.faces[rough],
            q.baseline[rough],
            q.target[rough],
            n_steps=steps,
            internal_batch_size=max(BATCH_SIZE, len(rough)),
            return_convergence_delta=True,
        )
        maps[rough], sums = part.to(maps), part.flatten(1).sum(1)
        allowed = torch.maximum(0.01 * (sums - gaps).abs(), 0.001 * part.abs().flatten(1).sum(1))
        rough = rough[gaps.abs() > allowed]
        if not len(rough):
            break
    return maps


@register_method(
    kind="perturbation",
    passes=122,
    description="How far the answer falls when a square of the face is blurred.",
)
def occlusion(q: AttributionRequest) -> Tensor:
    """The fall of the logit when a square of 8x8, moved by 4, turns into the baseline (Zeiler and Fergus 2014)."""
    window, stride = (max(1, q.faces.shape[-1] // parts) for parts in (6, 12))
    return attr.Occlusion(q.network).attribute(
        q.faces.detach(),
        (1, window, window),
        (1, stride, stride),
        q.baseline,
        q.target,
        perturbations_per_eval=_batch_of_copies(q),
    )


@register_method(
    kind="gradient",
    description="Where a small change would change the answer most; report 1's method.",
)
def gradient(q: AttributionRequest) -> Tensor:
    """The gradient of the logit by the pixels (Simonyan et al. 2014), with its sign: report 1's saliency."""
    return attr.Saliency(q.network).attribute(q.faces, target=q.target, abs=False)


@register_method(
    kind="contribution",
    description="The gradient times the pixel's brightness; black pixels get nothing.",
)
def input_x_gradient(q: AttributionRequest) -> Tensor:
    """The gradient times the pixel (Shrikumar et al. 2016): black pixels get nothing."""
    return attr.InputXGradient(q.network).attribute(q.faces, target=q.target)


@register_method(
    kind="gradient",
    passes=NUM_SAMPLES,
    description="The mean gradient over 32 noisy copies of the face, which calms it.",
)
def smoothgrad(q: AttributionRequest) -> Tensor:
    """The mean gradient over 32 noisy copies of the face (Smilkov et al. 2017)."""
    return _gradients(q, q.faces.detach() + _noise(q)).mean(0)


@register_method(
    kind="contribution",
    passes=NUM_SAMPLES,
    description="Gradients at random points between the blurred face and noisy copies of this one.",
)
def gradient_shap(q: AttributionRequest) -> Tensor:
    """32 random points between the baseline and the noisy face (Lundberg and Lee 2017; Erion et al. 2021)."""
    share = torch.rand(NUM_SAMPLES, 1, 1, 1, 1, generator=torch.Generator().manual_seed(q.seed + 1)).to(q.faces)
    way = q.faces.detach() + _noise(q) - q.baseline  # (S, B, 1, H, W)
    return (way * _gradients(q, q.baseline + share * way)).mean(0)


@register_method(
    kind="contribution",
    unfit=_needs_deeplift_rules,
    description="Hands the difference from the blurred face down, layer by layer, to the pixels.",
)
def deeplift(q: AttributionRequest) -> Tensor:
    """DeepLIFT's rescale rule (Shrikumar et al. 2017), on an equal network that Captum 0.9 treats rightly."""
    return attr.DeepLift(deeplift_compatible(q.network)).attribute(q.faces, q.baseline, q.target)


@register_method(
    kind="perturbation",
    passes=65,
    description="How far the answer falls when one cell of an 8x8 grid is blurred.",
)
def ablation(q: AttributionRequest) -> Tensor:
    """The fall of the logit when one cell of an 8x8 grid turns into the baseline."""
    height, width = q.faces.shape[-2:]
    rows, columns = (torch.arange(side, device=q.faces.device) * 8 // side for side in (height, width))
    cells = (8 * rows[:, None] + columns)[None, None]  # (1, 1, H, W)
    return attr.FeatureAblation(q.network).attribute(
        q.faces.detach(), q.baseline, q.target, feature_mask=cells, perturbations_per_eval=_batch_of_copies(q)
    )


@register_method(
    kind="perturbation",
    passes=64,
    description="What eyes, brows, mouth, nose, cheeks and the rest each add, whichever are blurred already.",
)
def region_shap(q: AttributionRequest) -> Tensor:
    """Shapley's values of the parts of the face (Lundberg and Lee 2017): what a part adds, whichever are there already.

    KernelSHAP solves least squares for them; of six parts all 64 selections are read, which is exact. A part's value
    lies evenly on its pixels. Ours, for Captum's KernelShap wants scikit-learn and draws its selections at random.
    """
    if q.faces.shape[-2:] != (48, 48):
        raise ValueError(f"faces are {'x'.join(map(str, q.faces.shape[-2:]))}: the parts are laid out on 48x48")
    masks, count = face_regions.region_masks().to(q.faces.device), len(face_regions.FACE_REGIONS)
    there = (torch.arange(2**count)[:, None] >> torch.arange(count)) % 2 == 1  # (64, P): every selection
    kept = (there.to(masks.device)[:, :, None, None] & masks).any(1)  # (64, H, W)
    values = _outputs(q, torch.where(kept[:, None, None], q.faces.detach(), q.baseline))  # (64, B)
    found = (values.T.double() @ _shapley(there).to(values.device)).to(q.faces)  # (B, P)
    return torch.einsum("bp,phw->bhw", found / masks.sum((1, 2)), masks.to(found))[:, None]


def _shapley(there: Tensor) -> Tensor:
    """The weight of each selection (2^P, P) of parts in each part's value: double (2^P, P)."""
    count, sizes = there.shape[1], there.sum(1, keepdim=True)
    with_it = torch.tensor([0] + [factorial(s - 1) * factorial(count - s) for s in range(1, count + 1)])
    weights = torch.where(there, with_it[sizes], -with_it[(sizes + 1).clamp_max(count)])
    return weights.double() / factorial(count)


@register_method(
    kind="activation",
    layered=True,
    description="Where the maps of a late convolution speak for the answer; coarse.",
)
def hirescam(q: AttributionRequest) -> Tensor:
    """A layer's maps times their gradients (Draelos and Carin 2020), enlarged.

    It equals Grad-CAM where the gradient is the same all over a map, as before an average over the face.
    """
    maps = attr.LayerGradientXActivation(q.network, _layer(q)).attribute(q.faces, q.target)
    return _upsample(q, maps.sum(1, keepdim=True))


@register_method(
    kind="activation",
    layered=True,
    description="The maps of a late convolution, each weighed as a whole; coarse.",
)
def grad_cam(q: AttributionRequest) -> Tensor:
    """A layer's maps weighted by their mean gradients (Selvaraju et al. 2017), with its sign, enlarged."""
    return _upsample(q, attr.LayerGradCam(q.network, _layer(q)).attribute(q.faces, q.target))


@register_method(
    kind="gradient",
    unfit=_needs_relu,
    description="A gradient without what is negative on its way; sharp, but it mostly draws edges.",
)
def guided_backprop(q: AttributionRequest) -> Tensor:
    """The gradient without what is negative on its way back (Springenberg et al. 2015)."""
    return attr.GuidedBackprop(q.network).attribute(q.faces, q.target)


@register_method(
    kind="gradient",
    layered=True,
    unfit=_needs_relu,
    description="Guided backpropagation where Grad-CAM is positive.",
)
def guided_grad_cam(q: AttributionRequest) -> Tensor:
    """Guided Backpropagation times the positive part of Grad-CAM (Selvaraju et al. 2017)."""
    method = attr.GuidedGradCam(q.network, _layer(q))
    return method.attribute(q.faces, q.target, interpolate_mode="bilinear")


@register_method(
    kind="gradient",
    unfit=_needs_relu,
    description="A gradient that is rectified on its way back, whatever the face was like.",
)
def deconvolution(q: AttributionRequest) -> Tensor:
    """Zeiler and Fergus 2014: ReLU applied to the gradient itself on its way back."""
    return attr.Deconvolution(q.network).attribute(q.faces, q.target)


# ------------------------------------------------------------------------------------------------ parts of methods


def _gradients(q: AttributionRequest, points: Tensor) -> Tensor:
    """The gradient at points (S, B, 1, H, W) between, or around, the faces; of the same shape."""
    found = []
    for block in points.split(max(1, BATCH_SIZE // points.shape[1])):
        faces = block.flatten(0, 1).requires_grad_()
        maps = attr.Saliency(q.network).attribute(faces, q.target.repeat(len(block)), abs=False)
        found.append(maps.unflatten(0, block.shape[:2]))
    return torch.cat(found)


@torch.no_grad()
def _outputs(q: AttributionRequest, faces: Tensor) -> Tensor:
    """What is explained, of other faces (S, B, 1, H, W) in the places of the question's: (S, B)."""
    found = [q.network(block.flatten(0, 1)) for block in faces.split(max(1, BATCH_SIZE // faces.shape[1]))]
    return torch.cat(found).gather(1, q.target.repeat(len(faces))[:, None]).view(faces.shape[:2])


def _noise(q: AttributionRequest) -> Tensor:
    """Noise (S, 1, 1, H, W): the same for every face, so that a map does not depend on the other faces of a batch."""
    generator = torch.Generator().manual_seed(q.seed)
    return 0.1 * torch.randn(NUM_SAMPLES, 1, *q.faces.shape[1:], generator=generator).to(q.faces)


def _layer(q: AttributionRequest) -> nn.Module:
    return q.network.get_submodule(q.layer or default_layer(q.network))


def _upsample(q: AttributionRequest, maps: Tensor) -> Tensor:
    return attr.LayerAttribution.interpolate(maps, q.faces.shape[-2:], "bilinear")


def _batch_of_copies(q: AttributionRequest) -> int:
    return max(1, BATCH_SIZE // len(q.faces))

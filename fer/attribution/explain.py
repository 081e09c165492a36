"""Why this answer? (network, faces, target) -> a signed map for every face, by Captum.

    maps = explain(network, faces, "integrated-gradients", target=3)             # (B, 1, 48, 48)
    maps = explain(network, faces, "gradient", target=4, against=2)              # why 4 and not 2
    methods_for(network)                     # {"gradient": None, "guided-backprop": "Its SELU layers ...", ...}

A pixel's value says how much it speaks for the target (above 0) or against it; values of two methods have no common
unit. Logits are explained, not probabilities, which also move when another label's logit does.

Captum hooks the modules that it explains, and a hook on a module that several threads share gives one visitor
another's map without a word. So each call works on modules of its own, which share only the weights: no hook can stay
behind, nor can two threads meet.
"""

import functools
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torchvision.transforms.functional import gaussian_blur

from fer.attribution.captum_compat import with_logit_differences
from fer.attribution.methods import METHODS, AttributionRequest
from fer.attribution.target_layer import target_layers
from fer.models.clone import clone_shared, num_outputs


def explain(
    network: nn.Module,
    faces: Tensor,
    method: str,
    target: int | Tensor,
    against: int | Tensor | None = None,
    baseline: str | Tensor = "blurred",
    layer: str | None = None,
    seed: int = 0,
    on_forward: Callable[[int], None] | None = None,
) -> Tensor:
    """Signed maps (B, 1, H, W) of faces (B, 1, H, W), floats in 0..1, on the faces' device.

    target: the label to explain, an index or one per face (B,). against: the label that it is explained against, so
    that maps explain the difference of the two logits. baseline: what counts as no evidence, a key of BASELINES or a
    face (1, H, W) such as the mean of many. layer: for Grad-CAM and its kin, one of `target_layers(network)`.
    on_forward: called before each pass how many faces go through the network (about `passes` of the method); what it
    raises ends the call.

    Raises:
        ValueError: a network in training mode; faces, target or baseline of another shape or range; no such method or
            layer; or a method that does not hold for this network, with the sentence why.
    """
    _check(network, faces, method, layer)
    _silence_captum()
    with torch.inference_mode(False), torch.enable_grad():  # faces of an inference_mode() have no gradients
        faces = faces.detach().clone().requires_grad_()
        aimed, chosen = _with_target(network, faces, target, against)
        if on_forward:
            aimed.register_forward_pre_hook(
                lambda _, given: on_forward(len(given[0]))
            )  # the call's own network's alone
        question = AttributionRequest(aimed, faces, chosen, _baseline_faces(faces.detach(), baseline), layer, seed)
        return METHODS[method].attribute(question).detach()


def to_contributions(maps: Tensor, faces: Tensor, method: str) -> Tensor:
    """Maps (B, 1, H, W) as what each pixel adds to the logit, against the blurred face: slopes times the difference."""
    return maps * (faces - blur(faces)) if METHODS[method].kind == "gradient" else maps


# ------------------------------------------------------------------------------------------------ what holds where


def method_applicability(network: nn.Module) -> dict[str, str | None]:
    """For every method None where it holds for this network, else one sentence why it does not."""
    return {name: method.reason_against(network) for name, method in METHODS.items()}


def list_methods(network: nn.Module) -> list[str]:
    """The methods that hold for this network."""
    return [method for method, reason in method_applicability(network).items() if reason is None]


# ------------------------------------------------------------------------------------------------ what is given


def _check(network: nn.Module, faces: Tensor, method: str, layer: str | None) -> None:
    if any(module.training for module in network.modules()):
        raise ValueError("the network is in training mode: expected eval mode, or its dropout and statistics move")
    if faces.ndim != 4 or faces.shape[1] != 1 or not len(faces) or not faces.is_floating_point():
        raise ValueError(f"faces are {faces.dtype} {tuple(faces.shape)}: expected floats (B, 1, H, W), B at least 1")
    if not (faces.min() >= 0 and faces.max() <= 1):
        raise ValueError(f"faces reach from {faces.min():.3g} to {faces.max():.3g}: expected 0..1")
    if method not in METHODS:
        raise ValueError(f"no method {method!r}: expected one of {', '.join(METHODS)}")
    if reason := METHODS[method].reason_against(network):
        raise ValueError(f"{method} does not hold for this network. {reason}")
    if layer is not None and (not METHODS[method].layered or layer not in target_layers(network)):
        known = f"one of {', '.join(target_layers(network))}" if METHODS[method].layered else f"none for {method}"
        raise ValueError(f"layer is {layer!r}: expected {known}")


def _with_target(network: nn.Module, faces: Tensor, target, against) -> tuple[nn.Module, Tensor]:
    """The call's own network and the number (B,) of its output to explain for each face."""
    classes = num_outputs(network, faces)
    target = _class_indices(target, faces, classes, "target")
    if against is None:
        return clone_shared(network), target
    return with_logit_differences(clone_shared(network)), target * classes + _class_indices(
        against, faces, classes, "against"
    )


def _class_indices(given: int | Tensor, faces: Tensor, classes: int, name: str) -> Tensor:
    labels = torch.as_tensor(given, device=faces.device)
    if labels.dtype.is_floating_point or labels.dtype == torch.bool or labels.shape not in ((), (len(faces),)):
        raise ValueError(f"{name} is {given!r}: expected an index or {len(faces)} of them, one per face")
    if not (labels.min() >= 0 and labels.max() < classes):
        raise ValueError(f"{name} is {labels.tolist()}: expected 0 to {classes - 1}")
    return labels.long().expand(len(faces))


def blur(faces: Tensor) -> Tensor:
    """Faces (B, 1, H, W) without eyes, nose or mouth, but as bright as before: a Gaussian of a twelfth of the side."""
    side = faces.shape[-1]
    radius = min(side // 4, side - 1)
    return gaussian_blur(faces, 2 * radius + 1, side / 12)


BASELINES: dict[str, Callable[[Tensor], Tensor]] = {"blurred": blur, "black": torch.zeros_like}


def _baseline_faces(faces: Tensor, given: str | Tensor) -> Tensor:
    """What counts as no evidence, for each face: (B, 1, H, W)."""
    if isinstance(given, str):
        if given not in BASELINES:
            raise ValueError(f"no baseline {given!r}: expected one of {', '.join(BASELINES)}, or a face")
        return BASELINES[given](faces)
    if given.shape not in (faces.shape, faces.shape[1:]):
        raise ValueError(f"baseline is {tuple(given.shape)}: expected {tuple(faces.shape[1:])}")
    return given.detach().to(faces).expand_as(faces).contiguous()


@functools.cache
def _silence_captum() -> None:
    """Captum tells at each call that it sets hooks; here they are on modules that nobody else has."""
    warnings.filterwarnings("ignore", "Setting (forward, )?backward hooks", UserWarning)

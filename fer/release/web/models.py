"""Checkpoint -> ONNX for the browser: logits and, where they are exact, class activation maps; float16 weights.

A weight is stored in float16 where that loses nothing, which is all of a checkpoint's own, and enlarged again when the
file is opened: the answers are those of float32 in half the bytes.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from fer.models.layers import SIDE


class WithMaps(nn.Module):
    """Faces (B, 1, 48, 48) in 0..1 -> logits (B, K) and class activation maps (B, K, H, W), whose sum is logit - bias.

    For a chain that ends in an average over the face and one linear layer (Zhou et al. 2016), where Grad-CAM and
    HiResCAM of the last activation are these maps.
    """

    def __init__(self, network: nn.Sequential) -> None:
        super().__init__()
        at = next(place for place, layer in enumerate(network) if isinstance(layer, nn.AdaptiveAvgPool2d))
        layers = list(network)
        self.body, self.head = nn.Sequential(*layers[:at]), nn.Sequential(*layers[at:])

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        activations = self.body(faces)  # (B, C, H, W)
        weights = self.head[-1].weight / (activations.shape[2] * activations.shape[3])  # (K, C)
        return self.head(activations), functional.conv2d(activations, weights[:, :, None, None])


def has_exact_maps(network: nn.Module) -> bool:
    """Whether it ends in an average over the face, flattening, dropout and one linear layer."""
    layers = list(network) if isinstance(network, nn.Sequential) else []
    places = [place for place, layer in enumerate(layers) if isinstance(layer, nn.AdaptiveAvgPool2d)]
    tail = layers[places[0] + 1 :] if places else []
    kept = [type(layer) for layer in tail if not isinstance(layer, nn.Dropout)]
    return kept == [nn.Flatten, nn.Linear] and layers[places[0]].output_size in (1, (1, 1))


def export(network: nn.Module) -> bytes:
    """The ONNX file of a network in eval mode: input `faces`, outputs `logits` and, if they are exact, `maps`.

    Raises:
        ValueError: onnx or onnxscript is not installed.
    """
    maps = has_exact_maps(network)
    try:
        from onnxscript import optimizer

        program = torch.onnx.export(
            (WithMaps(network) if maps else network).eval(),
            (torch.zeros(2, 1, SIDE, SIDE),),
            input_names=["faces"],
            output_names=["logits", "maps"][: 1 + maps],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            dynamo=True,
            verbose=False,
            optimize=False,  # it would fuse batch norms into convolutions, whose weights float16 then cannot hold
        )
    except ModuleNotFoundError as error:
        raise ValueError(f"web needs {error.name}: `pip install onnxscript` brings it") from error
    optimizer.fold_constants(program.model)
    optimizer.remove_unused_nodes(program.model)
    return _halved(program.model_proto)


def _halved(model: "onnx.ModelProto") -> bytes:  # noqa: F821 (imported where it is needed)
    """The file with every weight that float16 holds exactly stored in it, behind a node that enlarges it again."""
    from onnx import TensorProto, helper, numpy_helper

    graph, casts = model.graph, []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        half = values.astype(np.float16)
        if values.dtype == np.float32 and values.size > 1 and np.array_equal(half, values):
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(half, f"{name}_float16"))
            casts.append(helper.make_node("Cast", [f"{name}_float16"], [name], to=TensorProto.FLOAT))
    nodes = casts + list(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]  # types of what lies between, which the runtime infers itself
    return model.SerializeToString()

"""What a layer answers to one face, with what goes with it: ``python -m fer activations IMAGE LAYER``.

    answer = of(network, "conv2d_1", face)      # face: uint8 (48, 48)
    draw(answer, Path("maps.png"))

`pixels` before the first layer and `probabilities` behind the last one are steps too.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from fer.data.dataset import to_unit
from fer.features import activations, similarity
from fer.features.redundancy import LayerRedundancy, Redundancy
from fer.inference import predictor
from fer.models.checkpoint import FERModel
from fer.plotting import maps
from fer.utils.io import atomic_write

PIXELS, PROBABILITIES = "pixels", "probabilities"
_COLUMNS, _SIDE = 16, 96  # of maps in a picture, and the pixels that a map is enlarged to


@dataclass(frozen=True)
class LayerReport:
    """What C filters answer: raw maps, floats (C, H, W), or numbers (C,) of a dense layer; names of the classes if any.

    known: what was measured of the layer over many faces, if it was.
    """

    layer: str
    values: np.ndarray
    labels: tuple[str, ...] = ()
    known: LayerRedundancy | None = None

    def name(self, number: int) -> str:
        return self.labels[number] if self.labels else f"{'filter' if self.values.ndim == 3 else 'neuron'} {number}"

    def alike(self) -> np.ndarray | None:
        """Correlations of the maps of this one face, (C, C); None for a dense layer, of which it needs many faces."""
        if self.values.ndim == 1:
            return None
        return similarity.map_correlation(torch.from_numpy(self.values).flatten(1)).numpy()

    def redundant(self) -> list[dict]:
        """The filters that another one represents: {"filter", "representative", "correlation"}.

        Over many faces where the layer was measured, else over this one.
        """
        if self.known:
            representative, corr, found = (
                self.known.representative,
                self.known.representative_corr,
                self.known.redundant(),
            )
        elif (alike := self.alike()) is not None:
            representative = similarity.representatives(torch.from_numpy(alike)).numpy()
            corr = alike[np.arange(len(alike)), representative]
            found = np.flatnonzero(representative != np.arange(len(alike)))
        else:
            return []
        return [
            {
                "filter": int(number),
                "representative": int(representative[number]),
                "correlation": round(float(corr[number]), 3),
            }
            for number in found
        ]

    def rows(self) -> list[dict]:
        flat = self.values.reshape(len(self.values), -1)
        columns = zip(flat.mean(1), flat.min(1), flat.max(1), strict=True)
        return [
            {"filter": number} | {key: round(float(value), 4) for key, value in zip(_KEYS, row, strict=True)}
            for number, row in enumerate(columns)
        ]

    def summary(self) -> dict:
        over = "many faces" if self.known else "this face"
        return {"layer": self.layer, "filters": self.rows(), "redundant": self.redundant(), "redundant_over": over}

    def lines(self) -> list[str]:
        """The same for a person."""
        words = [
            f"{self.layer} {self.name(row['filter']):12} mean {row['mean']:9.3f}  {row['lowest']:9.3f} to "
            f"{row['highest']:9.3f}"
            for row in self.rows()
        ]
        redundant = ", ".join(f"{row['filter']} as {row['representative']}" for row in self.redundant())
        over = "over many faces" if self.known else "on this face"
        return [*words, f"the same, {over}: {redundant or 'none'}"]


_KEYS = ("mean", "lowest", "highest")


def list_steps(network: FERModel) -> list[str]:
    """The way from pixels to probabilities, layer by layer."""
    return [PIXELS, *activations.active_layers(network), PROBABILITIES]


def layer_report(network: FERModel, layer: str, face: np.ndarray, known: Redundancy | None = None) -> LayerReport:
    """What a layer, or one of `steps`, answers to a face, uint8 (48, 48); maps of one pixel are numbers.

    known: what was measured of the network over many faces. Raises ValueError for a layer that is not there.
    """
    pixels = torch.tensor(face)[None]
    if layer == PIXELS:
        return LayerReport(layer, to_unit(pixels)[0].numpy())
    if layer == PROBABILITIES:
        return LayerReport(layer, predictor.predict_probabilities(network, pixels)[0].numpy(), network.labels)
    values = activations.activation_maps(network, layer, to_unit(pixels))[0].numpy()
    values = values[:, 0, 0] if values.shape[1:] == (1, 1) else values
    last = layer == activations.active_layers(network)[-1]
    found = known.layers.get(layer) if known else None
    found = None if found is None or len(found.mean) != len(values) else found
    return LayerReport(layer, values, network.labels if last else (), found)


def save_picture(answer: LayerReport, file: Path, common: bool = False) -> None:
    """Writes the maps as one picture, row by row, or a dense layer's numbers as bars.

    common: one scale for the layer. Raises ValueError or OSError for a file that cannot be written.
    """
    if answer.values.ndim == 1:
        with atomic_write(file) as partial:
            return maps.unit_bars(answer.values, answer.labels).savefig(partial, dpi=150)
    full = maps.map_scales(answer.values, common)
    scale = max(1, _SIDE // answer.values.shape[1])
    return maps.save_palette_image(maps.tile_signed_maps(answer.values, full, _COLUMNS, scale, gap=2), file)

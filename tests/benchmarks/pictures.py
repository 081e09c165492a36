"""Makes the README's pictures of filters and classes: tests/pictures/classes.png, filters.png and depth.png.

    python -m tests.benchmarks.pictures [--network compact] [--beside vgg19-selu] [--layer conv2d_8] [--deep vgg16-relu]

classes: the prototypes of all classes of two networks, preset `clear`. filters: the first 16 filters of a layer by
`report`, by `clear` and by `clear` within faces, a row each; the share of fine waves is printed, which says why the
first look like noise. depth: the first 16 filters of five layers of a deep network, out of its atlas.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from fer.features import atlas, quality, visualization
from fer.features.presets import preset_with
from fer.models import checkpoint
from fer.plotting import encode, maps

DEPTHS = ("conv2d_2", "conv2d_4", "conv2d_6", "conv2d_8", "conv2d_10")
PICTURES = Path(__file__).resolve().parent.parent / "pictures"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="compact")
    parser.add_argument("--beside", default="vgg19-selu", help="whose classes come below")
    parser.add_argument("--layer", default="conv2d_8")
    parser.add_argument("--deep", default="vgg16-relu", help="of which five layers are shown")
    options = parser.parse_args()
    PICTURES.mkdir(exist_ok=True)
    encode.save_image(
        np.concatenate([_classes(name) for name in (options.network, options.beside)]), PICTURES / "classes.png"
    )
    network, rows = checkpoint.load_model(options.network), []
    for name, parts in (("report", {}), ("clear", {}), ("clear", {"parametrise": "faces"})):
        *_, frame = visualization.visualize(network, options.layer, range(16), preset_with(name, **parts))
        fine = quality.high_frequency_share(frame.images).median().item()
        print(f"{name} {' '.join(parts.values())}: {fine:.2f} of the energy in fine waves (noise .81)")
        rows.append(_row(frame.images, width=62))
    encode.save_image(np.concatenate(rows), PICTURES / "filters.png")
    encode.save_image(np.concatenate([_kept(options.deep, layer) for layer in DEPTHS]), PICTURES / "depth.png")


def _kept(name: str, layer: str) -> np.ndarray:
    images = torch.from_numpy(atlas.load_layer(checkpoint.WEIGHTS / name, layer).images[:16])
    return _row(images[:, None].float() / 255, width=62)


def _classes(name: str) -> np.ndarray:
    network = checkpoint.load_model(name)
    *_, frame = visualization.visualize_classes(network)
    with torch.inference_mode():
        read = network(frame.images).argmax(1).tolist()
    print(f"{name} reads", ", ".join(network.labels[answer] for answer in read))
    return _row(frame.images)


def _row(images: torch.Tensor, width: int = 144) -> np.ndarray:
    """Pictures (N, 1, S, S) side by side, each about `width` pixels wide, however large they are."""
    tiles = torch.nn.functional.interpolate(images, size=width, mode="nearest")[:, 0].numpy()
    return maps.tile_images(tiles, len(tiles))


if __name__ == "__main__":
    main()

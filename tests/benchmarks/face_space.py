"""Makes fer/facespace.npz: the average of FER-2013's Training faces and the ways in which they differ most.

    python -m tests.benchmarks.face_space [--data DIR] [--ways N]

Principal components of all faces and their mirror images. Those are symmetric or antisymmetric; only the symmetric
ones are kept, of which the left half says all. Bytes are fine enough: the largest of each way is 127.
"""

import argparse

import numpy as np
import torch

from fer.data import dataset, fer2013
from fer.features import eigenfaces


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", metavar="DIR", help="where FER-2013 lies (default: $FER2013_ROOT, else data/)")
    parser.add_argument("--ways", type=int, default=150)
    options = parser.parse_args()
    faces = dataset.to_unit(fer2013.load_fer2013(options.data)["Training"].pixels)[:, 0]  # (N, 48, 48)
    halves = ((faces + faces.flip(-1)) / 2)[..., : faces.shape[-1] // 2].flatten(1)  # (N, 48 * 24)
    average = halves.mean(0)
    covariance = torch.cov(halves.T)
    variances, vectors = torch.linalg.eigh(covariance)  # the smallest first
    ways = (vectors * variances.clamp(min=0).sqrt()).T.flip(0)[: options.ways]  # (K, 48 * 24)
    kept = 2 * variances.flip(0)[: options.ways].sum() / faces.flatten(1).var(0).sum()
    np.savez_compressed(eigenfaces.EIGENFACES_FILE, **_bytes(average[None], "average"), **_bytes(ways, "ways"))
    print(f"{eigenfaces.EIGENFACES_FILE}: {options.ways} ways, {kept:.1%} of the variance of faces")


def _bytes(rows: torch.Tensor, name: str) -> dict[str, np.ndarray]:
    """Rows (R, 48 * 24) as bytes with a scale each."""
    scales = rows.abs().amax(1, keepdim=True) / 127
    bytes_ = (rows / scales).round().to(torch.int8).view(-1, 48, 24).numpy()
    if name == "average":
        return {"average": bytes_[0], "scale_of_average": scales[0, 0].numpy()}
    return {name: bytes_, "scales": scales[:, 0].numpy()}


if __name__ == "__main__":
    main()

"""Where on the face a network looks, emotion by emotion: ``python -m fer benchmark-regions MODEL``.

Report 2 says that eyes, nose, mouth and cheeks matter, hair and plain skin do not. Here that is a number: the share of
a map's size that lies in each part of FER-2013's frame, over the share of pixels that the part has. What is found
stands in ``attribution_regions.npz`` beside the weights, stamped with their digest.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from fer.attribution import face_regions
from fer.attribution.explain import blur, explain
from fer.attribution.face_regions import FACE_REGIONS
from fer.data import dataset
from fer.data.dataset import FaceDataset
from fer.models.clone import fuse_for_inference
from fer.utils.artifacts import Artifact

FILE = "attribution_regions.npz"
_BLOCK = 16  # faces that are explained at once

CLAIMED_REGIONS = ("eyes", "nose", "mouth", "cheeks")  # what matters, by report 2


@dataclass(frozen=True)
class RegionClaim:
    """Report 2's claim as a number: how many times as much a pixel of CLAIMED carries as one of hair, skin or the rest.

    low, high: its 95 % interval over the faces, by bootstrap. detail: the same of a map that shows nothing but the
    face's own detail, |face - blurred face|.
    """

    times: float
    low: float
    high: float
    detail: float


@dataclass(frozen=True)
class RegionAttribution:
    """What a network looks at, over some faces.

    face: their mean, uint8 (48, 48). maps: the mean signed map for the network's own answers, float (K, 2, 48, 48), by
    the face's label and apart for right and wrong answers. counts: faces behind each, (K, 2). shares: the mean shares
    of PARTS by label, float (K, P).
    """

    labels: tuple[str, ...]
    face: np.ndarray
    maps: np.ndarray
    counts: np.ndarray
    shares: np.ndarray
    claim: RegionClaim

    def density(self) -> dict[str, float]:
        """Over all faces, how many times as much of the maps lies in a part as its area alone would have."""
        whole = (self.shares * self.counts.sum(1, keepdims=True)).sum(0) / self.counts.sum()
        return dict(zip(FACE_REGIONS, (whole / face_regions.region_areas().numpy()).round(3).tolist(), strict=True))

    def rows(self) -> list[dict]:
        """A row an emotion: its faces, and the share of each part."""
        return [
            {"label": label, "faces": int(count.sum())}
            | dict(zip(FACE_REGIONS, share.astype(float).round(4).tolist(), strict=True))
            for label, count, share in zip(self.labels, self.counts, self.shares, strict=True)
        ]


def sample_faces(validation: FaceDataset, each: int) -> FaceDataset:
    """Up to ``each`` faces of every label, without duplicates in Training, always the same ones."""
    if each < 1:
        raise ValueError(f"per_class is {each}: expected 1 or more faces of a label")
    alone = validation[~validation.is_duplicate]
    shuffled = dataset.random_subset(alone, len(alone))
    chosen = [(shuffled.labels == label).nonzero()[:each, 0] for label in shuffled.labels.unique()]
    return shuffled[torch.cat(chosen)]


def measure_regions(
    network: nn.Module, faces: FaceDataset, labels: Sequence[str], quiet: bool = False
) -> RegionAttribution:
    """Explains every face's answer by integrated gradients, and averages by label and by right and wrong."""
    network, pixels = fuse_for_inference(network), dataset.to_unit(faces.pixels)
    maps, answers = [], []
    for block in tqdm(pixels.split(_BLOCK), disable=quiet):
        with torch.no_grad():
            answers.append(network(block).argmax(1))
        maps.append(explain(network, block, "integrated-gradients", answers[-1]))
    found, wrong = torch.cat(maps), (torch.cat(answers) != faces.labels).long()  # (N, 1, 48, 48), (N,)
    group = 2 * faces.labels + wrong
    counts = torch.bincount(group, minlength=2 * len(labels)).view(-1, 2)
    sums = torch.zeros(2 * len(labels), 48, 48).index_add(0, group, found[:, 0])
    means = sums.view(-1, 2, 48, 48) / counts[..., None, None].clamp_min(1)
    each = face_regions.region_shares(found)  # (N, P)
    by_label = torch.zeros(len(labels), len(FACE_REGIONS)).double().index_add(0, faces.labels, each)
    by_label /= counts.sum(1, keepdim=True).clamp_min(1)
    mean = faces.pixels.float().mean(0).round().byte()
    claim = _claim(each.numpy(), face_regions.region_shares(pixels - blur(pixels)).numpy())
    return RegionAttribution(tuple(labels), *(part.numpy() for part in (mean, means, counts, by_label)), claim)


def _claim(shares: np.ndarray, detail: np.ndarray) -> RegionClaim:
    """Of the maps' shares (N, P), and of those of the faces' detail."""
    drawn = np.random.default_rng(0).integers(len(shares), size=(1000, len(shares)))
    low, high = np.percentile([_density_ratio(shares[row]) for row in drawn], [2.5, 97.5])
    return RegionClaim(
        *(round(float(value), 3) for value in (_density_ratio(shares), low, high, _density_ratio(detail)))
    )


def _density_ratio(shares: np.ndarray) -> float:
    density = dict(zip(FACE_REGIONS, shares.mean(0) / face_regions.region_areas().numpy(), strict=True))
    areas = dict(zip(FACE_REGIONS, face_regions.region_areas().tolist(), strict=True))
    claimed = sum(density[name] * areas[name] for name in CLAIMED_REGIONS) / sum(
        areas[name] for name in CLAIMED_REGIONS
    )
    return claimed / max(density["rest"], 1e-3)


def claim_sentence(look: RegionAttribution) -> str:
    """Report 2's claim, answered in a sentence."""
    claim = look.claim
    holds = "does not hold" if claim.low <= 1 else "holds"
    beyond = "more than" if claim.low > claim.detail else "less than" if claim.high < claim.detail else "no more than"
    regions = f"{', '.join(CLAIMED_REGIONS[:-1])} and {CLAIMED_REGIONS[-1]}"
    return (
        f"Report 2 says that {regions} matter, hair and plain skin do not. Here that {holds}: a pixel of theirs "
        f"carries {claim.times:.2f} times as much of the map (95 %: {claim.low:.2f} to {claim.high:.2f}) as one of "
        f"hair, skin and background. Mere detail of the faces would give {claim.detail:.2f}, and the network goes by "
        f"them {beyond} that."
    )


def save_region_attribution(look: RegionAttribution, folder: Path) -> None:
    """Keeps it beside the weights, stamped with their digest; the maps in float16 of their own scale."""
    content = {
        "labels": np.array(look.labels),
        "face": look.face,
        "maps": (look.maps / max(np.abs(look.maps).max(), 1e-12)).astype(np.float16),
        "counts": look.counts,
        "shares": look.shares.astype(np.float32),
        "claim": np.array(astuple(look.claim)),
    }
    ARTIFACT.save(folder, content)


def load_region_attribution(folder: Path) -> RegionAttribution | None:
    """What was measured of the network in ``folder``; None where it was not, or of other weights, or is broken."""
    return ARTIFACT.load_or_none(folder)


def _parse(kept: dict[str, np.ndarray]) -> RegionAttribution:
    labels, claim = tuple(str(label) for label in kept["labels"]), RegionClaim(*kept["claim"].tolist())
    look = RegionAttribution(labels, kept["face"], kept["maps"].astype(float), kept["counts"], kept["shares"], claim)
    if not _is_valid(look):
        raise ValueError("shapes or numbers that no measurement has")
    return look


def _is_valid(look: RegionAttribution) -> bool:
    """Whether everything has the shape that it should have, and the numbers are numbers."""
    count = len(look.labels)
    shapes = [part.shape for part in (look.face, look.maps, look.counts, look.shares)]
    right = [(48, 48), (count, 2, 48, 48), (count, 2), (count, len(FACE_REGIONS))]
    numbers = (look.maps, look.shares, look.counts, astuple(look.claim))
    return shapes == right and all(np.isfinite(part).all() for part in numbers) and look.counts.sum() > 0


ARTIFACT = Artifact(FILE, "benchmark-regions", _parse)

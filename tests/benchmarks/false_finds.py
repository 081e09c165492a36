"""Makes fer/faces/assets/verifier.npz, which rejects what Haar wrongly takes for faces, and measures what it rejects.

    python -m tests.benchmarks.false_finds PHOTOGRAPHS [--data DIR] [--write]

PHOTOGRAPHS is a folder of photographs with and without faces; YuNet ($FER_YUNET) says where the faces are, so pictures
of faces that it does not know, as on coins, are to be left out. Positives are FER-2013's Training faces, moved, turned
and blurred a little. Negatives are Haar's false finds, other crops of the photographs, and wrong pieces of faces; those
of one half of the photographs only (by the digest of their names). Measured are PublicTest's faces, Haar's true finds,
and its false finds in the other half of the photographs.
"""

import argparse
import hashlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from fer.data import dataset, fer2013
from fer.data.image_io import ImageError, open_image
from fer.faces import detector, verifier
from fer.faces.framing import Box, crop, frame

STEPS, LEAST = 4000, -2.5  # the score below which a crop is rejected, 1 % of PublicTest; it becomes 0 in the file
LONGEST = 1400  # pixels of a photograph
TRUE, CLEAR = 0.25, 0.15  # how far a find and a face overlap: more than the first, or less than the second


@dataclass
class Finds:
    """Crops (N, 48, 48) of Haar's finds at a low threshold, and the sums of its last stage (N,)."""

    crops: list[np.ndarray]
    sums: list[float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--data", metavar="DIR", help="where FER-2013 lies (default: $FER2013_ROOT, else data/)")
    parser.add_argument("--write", action="store_true", help="replace the file in fer/faces/assets")
    options = parser.parse_args()
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    splits = fer2013.load_fer2013(options.data)
    public = dataset.random_subset(splits["PublicTest"], 1500).pixels.numpy()
    true, false, others = collect(options.photographs, rng)
    network = fit(splits["Training"].pixels.numpy(), false[True].crops, others, rng)
    show(network, public, true, false[False])
    if options.write:
        np.savez_compressed(verifier.FILE, **folded(network))


# ------------------------------------------------------------------------------------------------ crops


def collect(folder: Path, rng: np.random.Generator) -> tuple[Finds, dict[bool, Finds], list[np.ndarray]]:
    """Haar's true finds, its false ones by whether they may be learned from, and other crops to learn from."""
    yunet = detector.load_detector("yunet")
    true, false, others = Finds([], []), {True: Finds([], []), False: Finds([], [])}, []
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            picture = open_image(file)
        except ImageError:
            continue
        scale = min(LONGEST / max(picture.shape[:2]), 1)
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        learned = int(hashlib.md5(file.name.encode()).hexdigest(), 16) % 2 == 1
        boxes = yunet.upright(picture)
        for turn in range(4):
            turned = np.ascontiguousarray(np.rot90(picture, turn))
            places = [_turned(box, picture.shape, turn) for box in boxes]
            for box, score in candidates(turned):
                face = crop(turned, frame(box, "haar"))
                if turn == 0 and any(_shared(box, place) > TRUE for place in places):
                    true.crops.append(face), true.sums.append(score)
                elif all(detector._overlap(box, place) <= CLEAR for place in places):
                    false[learned].crops.append(face), false[learned].sums.append(score)
        others += random_crops(picture, boxes, rng) if learned else []
    return true, false, others


def candidates(picture: np.ndarray) -> list[tuple[Box, float]]:
    """Haar's finds at three sizes with the sums of their last stages, -inf where they do not pass all 25.

    One neighbour is enough, where `detector` wants four: what it nearly takes for a face teaches as much.
    """
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    grey, found = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), []
    for scale in {min(size / max(grey.shape), 1) for size in (320, 640, 1000)}:
        view = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        boxes, stages, sums = cascade.detectMultiScale3(view, 1.1, 1, 0, (24, 24), outputRejectLevels=True)
        for box, stage, score in zip(boxes, stages, sums, strict=True):
            found.append((Box(*(np.array(box) / scale)), float(score) if stage >= 25 else -np.inf))
    return found


def random_crops(picture: np.ndarray, boxes: list[Box], rng: np.random.Generator, count: int = 250) -> list[np.ndarray]:
    """Squares of any size beside the faces that are not all of one grey."""
    crops = []
    for _ in range(count):
        side = float(np.exp(rng.uniform(np.log(24), np.log(min(picture.shape[:2]) * 0.8))))
        x, y = (rng.uniform(0, length - side) for length in picture.shape[1::-1])
        square = Box(x, y, side, side)
        if all(detector._overlap(square, box) <= 0.1 for box in boxes):
            crops.append(crop(picture, square))
    return [found for found in crops if found.std() >= 8]


def pieces(face: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A wrong piece of a face: turned by quarters, a small part of it, or shifted by half."""
    kind = rng.integers(3)
    if kind == 0:
        return np.ascontiguousarray(np.rot90(face, rng.integers(1, 4)))
    if kind == 1:
        side = rng.integers(16, 26)
        x, y = rng.integers(0, 48 - side, 2)
        return cv2.resize(face[y : y + side, x : x + side], (48, 48))
    return np.roll(face, rng.choice([-1, 1]) * rng.integers(16, 30), axis=rng.integers(2))


def blurred(face: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As of a face of 18 to 40 pixels, in other light."""
    if rng.random() < 0.4:
        side = int(rng.integers(18, 40))
        face = cv2.resize(cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA), (48, 48))
    light = 128 + (face.astype(np.float32) - 128) * rng.uniform(0.4, 1.1) + rng.uniform(-40, 40)
    return np.clip(light, 0, 255).astype(np.uint8)


def _turned(box: Box, shape: tuple[int, ...], turn: int) -> Box:
    """The box in the picture of this shape after so many quarter turns of np.rot90."""
    x, y, width, height = box.x, box.y, box.width, box.height
    high, wide = shape[:2]
    for _ in range(turn):
        x, y, width, height, high, wide = y, wide - x - width, height, width, wide, high
    return Box(x, y, width, height)


def _shared(find: Box, face: Box) -> float:
    """Intersection over union, the face taken as a square."""
    side = max(face.width, face.height)
    face = Box(face.centre[0] - side / 2, face.y, side, face.height)
    shared = detector._overlap(find, face) * min(find.width * find.height, face.width * face.height)
    return shared / (find.width * find.height + face.width * face.height - shared)


# ------------------------------------------------------------------------------------------------ the network


def build() -> nn.Sequential:
    def block(c: int, d: int) -> list[nn.Module]:
        return [nn.Conv2d(c, d, 3, padding=1), nn.BatchNorm2d(d), nn.ReLU(), nn.MaxPool2d(2)]

    return nn.Sequential(*block(1, 8), *block(8, 12), *block(12, 16), nn.Flatten(), nn.Dropout(0.3), nn.Linear(144, 1))


def fit(training: np.ndarray, hard: list, others: list, rng: np.random.Generator) -> nn.Sequential:
    faces = [blurred(training[k], rng) for k in rng.choice(len(training), 14_000, replace=False)]
    wrong = [pieces(training[k], rng) for k in rng.choice(len(training), 2_500, replace=False)]
    positive, *negative = (_tensor(crops) for crops in (faces, hard, others, wrong))
    network = build()
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=STEPS)
    truth = torch.cat([torch.full((96,), 0.99), torch.full((128,), 0.01)])
    for _ in range(STEPS):
        drawn = [_drawn(part, count) for part, count in zip((positive, *negative), (96, 64, 48, 16), strict=True)]
        scores = network(normalized(jittered(torch.cat(drawn))))[:, 0]
        loss = functional.binary_cross_entropy_with_logits(scores, truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval()


def jittered(faces: Tensor) -> Tensor:
    """Faces (B, 1, 48, 48) turned by up to 15 degrees, zoomed, shifted, and half of them mirrored."""
    count = len(faces)
    angle, scale = (torch.rand(count) * 2 - 1) * 0.26, torch.rand(count) * 0.35 + 0.82
    mirror = torch.where(torch.rand(count) < 0.5, -1.0, 1.0)
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 0, 1] = angle.cos() * scale * mirror, -angle.sin() * scale
    theta[:, 1, 0], theta[:, 1, 1] = angle.sin() * scale * mirror, angle.cos() * scale
    theta[:, :, 2] = (torch.rand(count, 2) * 2 - 1) * 0.12
    grid = functional.affine_grid(theta, list(faces.shape), align_corners=False)
    return functional.grid_sample(faces, grid, padding_mode="border", align_corners=False)


def normalized(faces: Tensor) -> Tensor:
    """As `verifier.face_score` does it: (B, 1, 24, 24)."""
    faces = functional.avg_pool2d(faces, 2)
    return (faces - faces.mean((1, 2, 3), keepdim=True)) / (faces.std((1, 2, 3), keepdim=True) + 8)


def folded(network: nn.Sequential) -> dict[str, np.ndarray]:
    """Its weights as `verifier` reads them: batch normalisation in the kernels, and LEAST at 0."""
    arrays = {}
    for layer in range(3):
        convolution, norm = network[4 * layer], network[4 * layer + 1]
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        arrays[f"kernel{layer}"] = convolution.weight * scale[:, None, None, None]
        arrays[f"bias{layer}"] = (convolution.bias - norm.running_mean) * scale + norm.bias
    arrays |= {"weights": network[-1].weight[0], "bias": network[-1].bias[0] - LEAST}
    return {name: values.detach().numpy().astype(np.float16) for name, values in arrays.items()}


def show(network: nn.Sequential, public: np.ndarray, true: Finds, false: Finds) -> None:
    with torch.inference_mode():
        kinds = [("PublicTest's faces", public, None), ("Haar's true finds", true.crops, true.sums)]
        for name, crops, sums in [*kinds, ("Haar's false finds, unseen", false.crops, false.sums)]:
            rejected = (network(normalized(_tensor(crops)))[:, 0] < LEAST).numpy()
            print(f"{name}: {rejected.mean():.1%} of {len(rejected)} rejected")
            if sums is not None:
                kept = np.array(sums) >= 1  # the others are no finds of `detector`
                print(f"  of those with a sum of at least 1: {rejected[kept].mean():.1%} of {kept.sum()}")


def _tensor(crops: list[np.ndarray] | np.ndarray) -> Tensor:
    return torch.from_numpy(np.stack(list(crops))).float()[:, None]


def _drawn(faces: Tensor, count: int) -> Tensor:
    return faces[torch.randint(len(faces), (count,))]


if __name__ == "__main__":
    main()

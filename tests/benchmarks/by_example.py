"""How long an answer by example takes on one core: training faces, concepts, and a list of suspect labels.

    python -m tests.benchmarks.by_example            # 28,709 training faces, as FER-2013 has
    python -m tests.benchmarks.by_example --quick    # 1,000 of them: does it run?

The features are drawn at random, so no data set is needed: times are the same. Aims for `compact`: 50 ms for the
training faces of one face. Times are the core's own (`time.thread_time`), so that other programs do not count.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch

from fer.attribution import concepts, feature_table, label_quality, training_examples
from fer.attribution.feature_table import FeatureTable
from fer.attribution.last_layer import features_of, last_layer
from fer.attribution.training_examples import CheckpointFeatures
from fer.models.checkpoint import FERModel

TRAINING = 28_709


def milliseconds(work: Callable[[], object], repeats: int) -> float:
    """The median of this thread's own time."""
    times = []
    for _ in range(repeats):
        began = time.thread_time()
        work()
        times.append(1000 * (time.thread_time() - began))
    return round(median(times), 1)


def made_up(faces: int, size: int) -> FeatureTable:
    """Features as `compact` has them: none below 0, most of them small."""
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(faces, size, generator=generator).pow(4).half().float()
    labels = torch.randint(0, 7, (faces,), generator=generator)
    return FeatureTable(features, labels, None, torch.zeros(faces, dtype=torch.bool))


def measure(faces: int, repeats: int) -> dict[str, float]:
    """Milliseconds of each act, in the order in which a visitor waits for them."""
    network = FERModel("compact").eval()
    layer = last_layer(network)
    table, face = made_up(faces, layer.in_features), torch.rand(1, 1, 48, 48)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        feature_table.write(table, Path(folder))
        found["read the table"] = milliseconds(lambda: feature_table.ARTIFACT.load(Path(folder)), 1)
    found["gradients of all training faces"] = milliseconds(
        lambda: CheckpointFeatures.of(layer, table.features, table.labels), repeats
    )
    checkpoint = CheckpointFeatures.of(layer, table.features, table.labels)

    def training_faces() -> object:
        return training_examples.evidence([checkpoint], [features_of(network, face)], table.labels, 3)

    found["training faces of one face"] = milliseconds(training_faces, repeats)
    body, tail = concepts.split_at_linear_tail(network)
    basis = torch.rand(concepts.RANK, layer.in_features, generator=torch.Generator().manual_seed(0))
    found["concepts of one face"] = milliseconds(lambda: concepts.concept_shares(body, tail, basis, face), repeats)
    folds = torch.arange(faces) % 5
    found["suspect labels"] = milliseconds(lambda: label_quality.audit(table.features, table.labels, folds, 7), 1)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="1,000 training faces, one repeat")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = measure(1000 if options.quick else TRAINING, 1 if options.quick else options.repeats)
    if options.json:
        return print(json.dumps(found))
    for name, took in found.items():
        print(f"{name:34} {took:10,.1f} ms")
    return None


if __name__ == "__main__":
    main()

"""How fast the Confusion and the Networks tab answer, on the server's side: their aim is 0.3 s.

    python -m tests.benchmarks.confusion

For comparison: what a change of network took while the tab still loaded the weights to learn a network's labels.
"""

import argparse
from pathlib import Path

from fer.app import model_cache
from fer.app.confusion import handlers as confusion_handlers
from fer.app.confusion import matrix
from fer.app.confusion.request import ConfusionRequest
from fer.app.models import tab as models_tab
from fer.models import checkpoint
from tests.benchmarks.speed import milliseconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=10)
    repeats, weights = parser.parse_args().repeats, Path(checkpoint.WEIGHTS)
    names = checkpoint.list_checkpoints(weights)
    print(f"{'':24} {'matrix':>8} {'against':>8} {'diagrams':>8} {'page':>8} {'loading':>8}   ms")
    for name in names:
        other = names[1] if name == names[0] else names[0]
        alone, both = (
            ConfusionRequest(name, "PrivateTest", matrix.COUNTS, against, threshold, duplicates)
            for against, threshold, duplicates in (("", 0.0, False), (other, 0.5, True))
        )
        times = (
            milliseconds(lambda request=alone: confusion_handlers.render(request, 11, weights), repeats),
            milliseconds(lambda request=both: confusion_handlers.render(request, 11, weights), repeats),
            milliseconds(lambda request=alone: confusion_handlers.render_diagrams(request, None, weights), repeats),
            milliseconds(lambda name=name: models_tab.show(name, weights=weights), repeats),
            milliseconds(lambda name=name: checkpoint.load_model(name, weights), repeats),
        )
        print(f"{name:24} " + " ".join(f"{time:8.1f}" for time in times))
    model_cache.outline(weights, names[0])
    print(f"{'all networks':24} {milliseconds(lambda: models_tab.overview(weights), repeats):35.1f}")


if __name__ == "__main__":
    main()

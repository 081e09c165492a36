"""Makes fer/mean_face.png: the mean of Training's 28,709 faces, nobody's own, as a baseline of attributions.

python -m tests.benchmarks.mean_face [--data DIR]
"""

import argparse

from PIL import Image

from fer.attribution import baselines
from fer.data import fer2013


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", metavar="DIR", help="where FER-2013 lies (default: $FER2013_ROOT, else data/)")
    training = fer2013.load_fer2013(parser.parse_args().data)["Training"]
    mean = training.pixels.float().mean(0).round().byte()  # (48, 48)
    Image.fromarray(mean.numpy()).save(baselines.MEAN_FACE, optimize=True)


if __name__ == "__main__":
    main()

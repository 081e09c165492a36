"""The one table of numbers that the page shares with the library, in the words of the page's scripts.

`vision.js` and `worker.js` compute what `fer.faces`, `fer.data.crop` and `fer.inference` do with these very constants.
"""

from pathlib import Path

from fer.data import crop
from fer.data.labels import EMOTIONS
from fer.faces import detector, framing
from fer.inference import tracker
from fer.inference.annotate import EMOTION_COLOURS
from fer.models.checkpoint import FERModel
from fer.models.summary import count_parameters

SMOOTHING = 0.5  # seconds, as the tracker's own
LIVE = {"detectorSide": 320, "faces": 8}  # pixels at which faces are looked for in a camera's frame; the most of one


def shared() -> dict:
    """All that does not depend on which models are in the site."""
    yunet = framing.FRAMING["yunet"]
    return {
        "crop": {"side": crop.SIDE, "luma": crop.LUMA.tolist(), "bits": crop.LUMA_BITS},
        "framing": {"side": yunet.side, "right": yunet.right, "down": yunet.down},
        "detector": detector_table(),
        "tracking": {"patience": tracker.MAX_UNSEEN_SECONDS, "far": tracker.MAX_DISTANCE, "smoothing": SMOOTHING},
        "live": LIVE,
        "hues": EMOTION_COLOURS,
    }


def detector_table() -> dict:
    """How YuNet is asked, and what is made of its finds."""
    return {
        "score": detector.SCORE,
        "overlap": detector.OVERLAP,
        "most": detector.MOST_FINDS,
        "smallest": detector.SMALLEST,
        **detector.YUNET,
        "fineAbove": detector.FINE_ABOVE,
        "bordered": detector.BORDERED,
        "border": detector.BORDER,
        "smallTilt": detector.MAX_UPRIGHT_TILT,
        "uprightScore": detector.UPRIGHT_SCORE,
        "better": detector.TURNED_MARGIN,
        "mostLevelled": detector.MAX_LEVELLED,
        "levelSide": detector.LEVEL_SIDE,
        "levelPixels": detector.LEVEL_PIXELS,
        "levelStep": detector.LEVEL_STEP,
        "levelGain": detector.LEVEL_GAIN,
    }


def of_model(network: FERModel, file: str, content: bytes, digest: str, saliency: bool) -> dict:
    """A model's entry: where it lies, and how its logits become predictions."""
    measured = network.metrics.get("private_test") or {}
    accuracy = measured.get("accuracy")
    size = f"{count_parameters(network) / 1e6:.1f} M"
    title = " · ".join([network.name, size, *([f"{100 * accuracy:.1f} %"] if accuracy else [])])
    if network.labels != EMOTIONS:
        title += f" ({len(network.labels)} labels)"
    return {
        "name": network.name, "title": title, "file": file, "bytes": len(content), "sha384": digest,
        "labels": list(network.labels), "temperature": network.temperature, "threshold": network.confidence_threshold,
        "setThreshold": network.prediction_set, "saliency": saliency, "accuracy": accuracy,
    }  # fmt: skip


def examples(folder: Path) -> list[dict]:
    """The example faces, each an average of many, by name."""
    return [{"name": file.stem, "file": f"examples/{file.name}"} for file in sorted(folder.glob("*.png"))]

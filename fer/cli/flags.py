"""The command line's flags, one parser a command."""

import argparse
from collections.abc import Callable
from dataclasses import fields

from fer.data.transforms import Augmentation
from fer.models import registry as models_registry

_BY_EXAMPLE = ("influence", "concepts", "suspects")


def parser_for(functions: dict[str, Callable]) -> argparse.ArgumentParser:
    """The parser of all commands, each described by its function's docstring."""
    parser = argparse.ArgumentParser(prog="python -m fer", description="A laboratory for facial-expression networks.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    parts = {name: commands.add_parser(name, help=function.__doc__) for name, function in functions.items()}
    for part in parts.values():
        part.add_argument("--json", dest="as_json", action="store_true", help="print one JSON value, nothing else")
    parts["data"].add_argument("root", nargs="?", metavar="DIR", help="a folder, zip or CSV file; where FER-2013 is")
    parts["networks"].add_argument("--readme", action="store_true", help="write the README's table as well")
    for name in ("train", "evaluate", "study", "trust", "regions", "atlas", "export", "redundancy", *_BY_EXAMPLE):
        parts[name].add_argument("--data", dest="root", metavar="DIR", help="where FER-2013 is ($FER2013_ROOT, data/)")
    for name in ("summary", "train"):
        parts[name].add_argument("network", choices=models_registry.ARCHITECTURES, metavar="NETWORK")
    _add_training(parts["train"])
    parts["evaluate"].add_argument("network", metavar="NETWORK", help="a name in weights/, a folder, or owner/name")
    parts["evaluate"].add_argument("--split", choices=("PublicTest", "PrivateTest"), default="PublicTest")
    parts["evaluate"].add_argument("--tta", action="store_true", help="the mean of ten views of each face")
    parts["evaluate"].add_argument("--corruptions", action="store_true", help="under the corruptions of FER-2013-C")
    parts["evaluate"].add_argument("--keep", action="store_true", help="also keep what differs by rounding alone")
    parts["evaluate"].add_argument("--calibrate", action="store_true", help="fit temperature, thresholds and logit "
                                   "adjustment anew first, on PublicTest and PublicTest-C")  # fmt: skip
    parts["evaluate"].add_argument("--speed", action="store_true", help="also time one face on one core, for the card")
    _add_confusion(parts["confusion"])
    parts["predict"].add_argument("paths", nargs="+", metavar="PATH", help="photographs, folders of them, or videos")
    parts["predict"].add_argument("--films", default=".", metavar="FOLDER", help="where a video's four files go")
    parts["predict"].add_argument("--smoothing", type=float, default=0.5, metavar="SECONDS", help="of a video's faces")
    parts["predict"].add_argument("--fps", type=float, metavar="F", help="read at most F frames a second of a video")
    parts["predict"].add_argument("--network", default="compact", help="compact unless named")
    parts["predict"].add_argument("--whole", action="store_true", help="take each whole picture as a face")
    parts["predict"].add_argument(
        "--out", metavar="FILE", help="a .csv or .jsonl file, to which a stopped run is added"
    )
    parts["crop"].add_argument("folder", metavar="FOLDER", help="of photographs, in folders named after emotions")
    parts["crop"].add_argument("out", metavar="OUT", help="the folder to write their faces to")
    _add_saliency(parts["saliency"])
    _add_activations(parts["activations"])
    for name in ("trust", "regions", "atlas", "redundancy"):
        parts[name].add_argument("network", metavar="NETWORK", help="a name in weights/, a folder, or owner/name")
    parts["trust"].add_argument("--faces", type=int, default=200, metavar="N", help="of PublicTest, without duplicates")
    parts["regions"].add_argument("--each", type=int, default=50, metavar="N", help="faces of every emotion")
    parts["redundancy"].add_argument("--faces", type=int, default=2000, metavar="N", help="of PublicTest")
    parts["redundancy"].add_argument(
        "--thin", metavar="LAYERS", help="whose filters are removed, as in conv2d_1,conv2d_2; the first layer's if none"
    )
    _add_influence(parts["influence"])
    _add_concepts(parts["concepts"])
    _add_suspects(parts["suspects"])
    _add_ascent(parts["ascend"])
    _add_study(parts["study"])
    parts["space"].add_argument("action", choices=("check",), metavar="check")
    parts["space"].add_argument("folder", nargs="?", metavar="FOLDER", help="of a static site; this repository if none")
    _add_web(parts["web"])
    parts["push"].add_argument("network", metavar="NETWORK", help="a name in weights/, or a folder")
    parts["push"].add_argument("repository", metavar="OWNER/NAME", help="of the Hub; made if there is none")
    parts["push"].add_argument("--private", action="store_true", help="make it a private one")
    parts["export"].add_argument("network", metavar="NETWORK", help="a name in weights/, a folder, or owner/name")
    parts["export"].add_argument("--out", metavar="FILE", help="where to write, instead of NETWORK.onnx")
    return parser


def _add_web(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", metavar="OUT", help="the folder to write to: a new one, or an earlier site")
    names = "compact,compact-ferplus,cnn"
    parser.add_argument("--networks", default=names, metavar="NAMES", help=f"{names} unless named; the first one opens")
    parser.add_argument("--runtime", metavar="DIR", help="copy ONNX Runtime Web from dist/ of its npm package")
    parser.add_argument("--serve", action="store_true", help="show it on this computer until Ctrl+C")
    parser.add_argument("--port", type=int, default=7861)


def _add_confusion(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", metavar="NETWORK", help="a name in weights/, or ensemble:a+b")
    parser.add_argument("--split", choices=("PublicTest", "PrivateTest"), default="PrivateTest")
    parser.add_argument(
        "--no-duplicates",
        dest="without_duplicates",
        action="store_true",
        help="only faces without a duplicate in Training",
    )
    parser.add_argument("--threshold", type=float, default=0.0, metavar="P", help="leave out answers less sure than P")
    parser.add_argument("--against", metavar="NETWORK", help="compare with another network, by McNemar's test")
    parser.add_argument("--faces", metavar="PATH", help="on a zip or folder of your own, with a folder an emotion")


def _add_saliency(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", help="a photograph; its largest face is taken")
    parser.add_argument("--network", default="compact", help="compact unless named")
    parser.add_argument("--method", help="integrated-gradients where that holds; an unknown one lists them all")
    parser.add_argument("--target", metavar="LABEL", help="the emotion to explain; by default the network's answer")
    parser.add_argument("--against", metavar="LABEL", help="explain the target against this emotion")
    parser.add_argument("--baseline", default="blurred", help="what counts as no evidence: blurred, black or mean")
    parser.add_argument("--layer", metavar="LAYER", help="of Grad-CAM and its kin: whose maps are weighed")
    parser.add_argument("--keep", type=float, default=0.2, help="the share of the face that the masked image keeps")
    parser.add_argument("--whole", action="store_true", help="take the whole picture as a face")
    parser.add_argument("--out", metavar="FILE", help="where to write, instead of IMAGE-saliency.png here")


def _add_influence(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", nargs="?", metavar="IMAGE", help="a photograph; its largest face is taken")
    parser.add_argument("--model", dest="network", default="compact", help="compact unless named")
    parser.add_argument("--target", metavar="LABEL", help="the emotion to explain; by default the network's answer")
    parser.add_argument("--checkpoints", nargs="*", default=[], metavar="FOLDER", help="earlier ones of the same run")
    parser.add_argument("--count", type=int, default=10, metavar="N", help="training faces of each kind")
    parser.add_argument("--benchmark", action="store_true", help="measure what removing proponents does, without IMAGE")
    parser.add_argument("--faces", type=int, default=20, metavar="N", help="misread ones of PublicTest, to measure on")
    parser.add_argument("--against", metavar="MODEL", help="another model whose proponents are compared as well")
    parser.add_argument("--whole", action="store_true", help="take the whole picture as a face")


def _add_concepts(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", metavar="NETWORK", help="a name in weights/, a folder, or owner/name")
    parser.add_argument("image", nargs="?", metavar="IMAGE", help="a photograph whose answer is taken apart")
    parser.add_argument("--rank", type=int, default=20, metavar="N", help="how many concepts")
    parser.add_argument("--faces", type=int, default=3000, metavar="N", help="of Training, to find them in")
    parser.add_argument("--whole", action="store_true", help="take the whole picture as a face")
    parser.add_argument("--out", metavar="FILE", help="also write a picture of the concepts, each an average of faces")


def _add_suspects(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", metavar="NETWORK", help="a name in weights/, a folder, or owner/name")
    parser.add_argument("--out-of-fold", metavar="FOLDER", help="teachers of `train`, which have not seen their fold")
    parser.add_argument("--csv", metavar="OUT", help="write all faces to this file, the most suspect first")
    parser.add_argument("--count", type=int, default=20, metavar="N", help="of each split to print")


def _add_activations(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", help="a photograph; its largest face is taken")
    parser.add_argument("layer", metavar="LAYER", help="its name in the network's summary")
    parser.add_argument("--network", default="compact", help="compact unless named")
    parser.add_argument("--common", action="store_true", help="one scale for the layer, in place of one for each map")
    parser.add_argument("--whole", action="store_true", help="take the whole picture as a face")
    parser.add_argument("--out", metavar="FILE", help="where to write, instead of IMAGE-LAYER.png here")


def _add_ascent(parser: argparse.ArgumentParser) -> None:
    from fer.features.presets import PARTS, PRESETS

    parser.add_argument("network", metavar="NETWORK", help="a name in weights/, a folder, or owner/name")
    parser.add_argument("layer", metavar="LAYER", help="its name in the network's summary; the last one for classes")
    parser.add_argument("--filters", metavar="0-63,70", help="all of them unless named")
    parser.add_argument("--preset", choices=PRESETS, default="clear")
    for part, choices in PARTS.items():
        parser.add_argument(f"--{part}", choices=choices, help="the preset's own unless given")
    parser.add_argument("--steps", type=int, metavar="N", help="the preset's own number unless given")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the noise at the start")
    parser.add_argument("--out", metavar="FILE", help="where to write, instead of ascent-NETWORK-LAYER.png")


def _add_study(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="an unknown one lists them all")
    parser.add_argument("--quick", action="store_true", help="few faces, two epochs, a small network: does it run?")
    parser.add_argument("--out", metavar="FOLDER", help="where to write, instead of weights/studies/NAME/")
    parser.add_argument("--seeds", type=int, metavar="N", help="trainings of each kind that are averaged")


def _add_training(parser: argparse.ArgumentParser) -> None:
    """A flag for every field of TrainConfig and Augmentation; one that is not given keeps the network's own recipe."""
    from fer.training.config import TrainConfig

    parser.add_argument("--out", metavar="FOLDER", help="where to write, instead of weights/<name>/")
    parser.add_argument("--restart", action="store_true", help="forget a run that was stopped")
    parser.add_argument("--teachers", metavar="FOLDER", help="where the folds' teachers are, instead of OUT/teachers/")
    parser.add_argument("--fold", type=int, metavar="K", help="train the teacher of this fold and nothing else")
    for field in (*fields(TrainConfig), *fields(Augmentation)):
        if field.name not in ("network", "augmentation"):
            kind = {"type": field.type, "metavar": field.type.__name__.upper()}
            if field.type is bool:
                kind = {"action": argparse.BooleanOptionalAction}
            parser.add_argument(f"--{field.name.replace('_', '-')}", default=None, **kind)

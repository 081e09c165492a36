"""Figures -> ``config.json`` and the model card, ``weights/<name>/README.md``.

The part of the card between the two marks is written anew from config.json after every measurement; the rest is
written once and then belongs to people.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData

from fer.data import dataset
from fer.evaluation.metrics import round_metrics, stored_metrics
from fer.models import checkpoint
from fer.models.checkpoint import FERModel
from fer.models.ensemble import Ensemble
from fer.models.registry import get_architecture
from fer.models.summary import count_parameters
from fer.training import config as training_config
from fer.training.config import training_commands
from fer.utils.io import write_text

README_MARKS = ("<!-- models: written by `python -m fer models --readme` -->", "<!-- end of models -->")
_MARKS = ("<!-- figures: written by `python -m fer evaluate` -->", "<!-- end of figures -->")
LATENCY_KEY = "latency_ms"
_REDUNDANCY_MARKS = ("<!-- redundancy: written by `python -m fer redundancy` -->", "<!-- end of redundancy -->")
COLUMNS = ("network", "parameters", "size", "PublicTest", "PrivateTest (95 %)", "without duplicates", "ten views")
COLUMNS += ("robust", "macro-F1", "ECE", "ms a face")
_ROWS = {
    "public_test": "PublicTest",
    "public_test_tta": "PublicTest, ten views",
    "public_test_c": "PublicTest-C",
    "private_test": "PrivateTest",
    "private_test_tta": "PrivateTest, ten views",
    "private_test_c": "PrivateTest-C",
}
_METRICS = {
    "accuracy": "accuracy",
    "accuracy_deduplicated": "accuracy without duplicates",
    "macro_f1": "macro-F1",
    "ece": "calibration error",
}


def record_metrics(network: FERModel, folder: Path, figures: dict) -> None:
    """Puts what ``evaluate`` measured into the checkpoint's config.json and its card."""
    network.metrics[_metrics_key(figures)] = _stored(figures)
    checkpoint.save_config(network, folder)
    write_card(network, folder)


def is_recorded(network: FERModel, figures: dict) -> bool:
    """Whether config.json has these figures, but for what another machine's rounding changes: .002 of each."""
    return _nearly_equal(network.metrics.get(_metrics_key(figures)), _stored(figures))


def _metrics_key(figures: dict) -> str:
    split = figures["split"].replace("Test", "_test").replace("-", "_").lower()
    return split + ("_tta" if figures["tta"] else "")


def _stored(figures: dict) -> dict:
    """What config.json keeps of a split; under corruptions also the accuracies of each, by strength."""
    kept = stored_metrics(figures)
    for row in figures.get("corruptions", []):
        kept.setdefault("corruptions", {}).setdefault(row["corruption"], []).append(round_metrics(row["accuracy"]))
    return kept


def _nearly_equal(old: object, new: object) -> bool:
    """Whether two figures, lists or dicts of them are the same within .002."""
    if isinstance(new, dict):
        return (
            isinstance(old, dict) and old.keys() == new.keys() and all(_nearly_equal(old[key], new[key]) for key in new)
        )
    if isinstance(new, list):
        return isinstance(old, list) and len(old) == len(new) and all(map(_nearly_equal, old, new))
    return isinstance(old, int | float) and abs(old - new) <= 0.002


def record_speed(network: FERModel, folder: Path, milliseconds: float) -> None:
    """Puts the time that one face takes on one core into the checkpoint's config.json."""
    network.metrics[LATENCY_KEY] = round(milliseconds, 2)
    checkpoint.save_config(network, folder)


def write_card(network: FERModel, folder: Path) -> None:
    """Writes the card, or renews the front matter and the figures of one that is there."""
    path = folder / "README.md"
    text = path.read_text(encoding="utf-8") if path.exists() else _new_card(network)
    body = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    write_text(path, f"---\n{front_matter(network)}\n---\n" + _replace_between(body, *_MARKS, figures_table(network)))


def front_matter(network: FERModel) -> str:
    """What the Hub reads of a card: licence, task, tags and, as a model-index, the measured figures."""
    results, own = [], _trained_on_own_faces(network.train_config)
    for key, row in network.metrics.items():
        if key in _ROWS and not own:
            task = {"task_type": "image-classification", "dataset_type": "fer2013", "dataset_name": "FER-2013"}
            task |= {"dataset_split": "PrivateTest" if key.startswith("private") else "PublicTest"}
            for metric, name in _METRICS.items():
                words = (
                    f"{_ROWS[key]}: {name} (n {row['n_deduplicated' if metric.endswith('deduplicated') else 'n']:,})"
                )
                kind = "accuracy" if metric.startswith("accuracy") else metric
                results.append(EvalResult(**task, metric_type=kind, metric_value=row[metric], metric_name=words))
    tags = ["facial-expression-recognition", *([] if own else ["fer2013"]), "pytorch"]
    facts = {"license": "mit", "library_name": "fer", "pipeline_tag": "image-classification", "tags": tags}
    return ModelCardData(**facts, model_name=network.name, eval_results=results or None).to_yaml()


def write_redundancy_section(folder: Path, section: str) -> None:
    """Writes, or renews, the card's section on redundancy and pruning; nothing where there is no card."""
    path = folder / "README.md"
    if not path.is_file():
        return
    text, title = path.read_text(encoding="utf-8"), "## Redundant filters and pruning"
    if _REDUNDANCY_MARKS[0] not in text:
        marked = f"{title}\n\n{_REDUNDANCY_MARKS[0]}\n{_REDUNDANCY_MARKS[1]}\n\n"
        before, use, after = text.partition("## Use and limits")
        text = f"{before}{marked}{use}{after}"
    write_text(path, _replace_between(text, *_REDUNDANCY_MARKS, section))


def figures_table(network: FERModel) -> str:
    """The measured figures as a Markdown table, with n and the 95 % interval of every accuracy."""
    lines = ["| split | accuracy (n; 95 % interval) | without duplicates | macro-F1 | balanced | calibration error |"]
    lines += ["|---|---|---|---|---|---|"]
    for key, words in _ROWS.items():
        if row := network.metrics.get(key):
            shares = [_accuracy(row, suffix) for suffix in ("", "_deduplicated")]
            rest = [f"{row[name]:.3f}" for name in ("macro_f1", "balanced_accuracy", "ece")]
            lines.append(f"| {' | '.join([words, *shares, *rest])} |")
    robust = [(words, row["corruptions"]) for key, words in _ROWS.items() if (row := network.metrics.get(key))
              and "corruptions" in row]  # fmt: skip
    for words, kinds in robust:
        lines += ["", f"{words}, by corruption (FER-2013-C), at strengths 1, 2 and 3:", ""]
        lines += ["| corruption | 1 | 2 | 3 |", "|---|---|---|---|"]
        lines += [f"| {kind} | {' | '.join(f'{share:.3f}' for share in shares)} |" for kind, shares in kinds.items()]
    return "\n".join(lines)


def models_table(networks: Sequence[FERModel | Ensemble]) -> str:
    """The README's table: a line for every network, from what ``evaluate`` measured."""
    lines = [COLUMNS, ["---"] * len(COLUMNS), *(table_row(network) for network in networks)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def table_row(network: FERModel | Ensemble) -> list[str]:
    """A network's cells under COLUMNS, the first of them in backticks."""
    public, private, tta = (network.metrics.get(key) for key in ("public_test", "private_test", "private_test_tta"))
    cells = [
        f"`{network.name}`",
        f"{count_parameters(network):,}",
        f"{2e-6 * count_parameters(network):.1f} MB",
    ]  # float16
    cells += [f"{public['accuracy']:.4f}" if public else "-"]
    cells += ["{:.4f} ({:.3f} to {:.3f})".format(private["accuracy"], *private["ci95"]) if private else "-"]
    cells += [f"{private['accuracy_deduplicated']:.4f}" if private else "-"]
    cells += [f"{row['accuracy']:.4f}" if row else "-" for row in (tta, network.metrics.get("private_test_c"))]
    cells += [f"{private[key]:.3f}" if private else "-" for key in ("macro_f1", "ece")]
    return [*cells, f"{network.metrics[LATENCY_KEY]:.1f}" if LATENCY_KEY in network.metrics else "-"]


def write_readme(networks: Sequence[FERModel | Ensemble], path: Path) -> None:
    """Renews the table of networks between its two marks in the README."""
    write_text(path, _replace_between(path.read_text(encoding="utf-8"), *README_MARKS, models_table(networks)))


def _replace_between(text: str, start: str, end: str, content: str) -> str:
    """``text`` with what stands between the two marks replaced."""
    pattern = re.escape(start) + ".*?" + re.escape(end)
    return re.sub(pattern, lambda _: f"{start}\n{content}\n{end}", text, flags=re.DOTALL)


def _accuracy(row: dict, suffix: str) -> str:
    low, high = row[f"ci95{suffix}"]
    return f"{row[f'accuracy{suffix}']:.4f} (n {row[f'n{suffix}']:,}; {low:.3f} to {high:.3f})"


def _trained_on_own_faces(recipe: dict) -> bool:
    """Whether it was trained on other faces than FER-2013's, or only on some of them."""
    return recipe.get("num_train_images", dataset.SPLITS["Training"]) not in (
        dataset.SPLITS["Training"],
        dataset.NUM_FERPLUS_MAJORITY,
    )


def _training_sentence(recipe: dict) -> str:
    if _trained_on_own_faces(recipe):
        return f"On {recipe['num_train_images']:,} labelled faces that are not FER-2013's Training split"
    count = recipe.get("num_train_images", dataset.SPLITS["Training"])
    return f"From scratch on the {count:,} faces of FER-2013's Training split"


def _evaluation_note(network: FERModel, own: bool) -> str:
    return OWN if own else FER2013.format(name=network.name)


FER2013 = """Measured on FER-2013 by `python -m fer evaluate {name} --split PrivateTest`. The epoch was chosen on
PublicTest without duplicates; PrivateTest was read once the recipe was fixed. About 8 % of the test faces have a
duplicate (the same picture, or nearly) in Training: "without duplicates" leaves those out and is the honest figure; the
other is comparable
with publications."""
OWN = """Measured by `python -m fer evaluate` on faces of the same collection: PublicTest are those that were held out,
on which the epoch was chosen. FER-2013's published figures, and those of the other networks, are of other faces."""
LIMITS = """FER-2013 was gathered by web search: its labels are noisy (people agree with them on about 65 %), it is
unbalanced (disgust is rare), and it does not represent ages, skin tones or cultures evenly, so neither does this
network."""
OWN_LIMITS = "It can be no better than its faces and their labels are, and knows no others."


def _new_card(network: FERModel) -> str:
    """A card with everything but the figures."""
    recipe, labels = (
        network.train_config or asdict(training_config.default_config(network.architecture)),
        network.labels,
    )
    own = _trained_on_own_faces(recipe)
    what = get_architecture(network.architecture).description
    return f"""
# {network.name}

{what} It has {count_parameters(network):,} parameters.
Input: one grey face of 48x48 pixels, 0 to 1. Output: {len(labels)} logits: {", ".join(labels)}.

## Figures

{_MARKS[0]}
{_MARKS[1]}

{_evaluation_note(network, own)}
The temperature ({network.temperature}) and the confidence threshold ({network.confidence_threshold}), below which the
model abstains, were fitted on PublicTest without duplicates.

## How it was trained

{_training_sentence(recipe)}:

```sh
{training_commands(recipe)}
```

All the settings:

```json
{json.dumps(recipe, indent=2)}
```

`history.csv` has both curves, epoch by epoch.

## Use and limits

For teaching, for research on how such networks see, and for playing with a webcam. It tells which of {len(labels)}
words people would choose for a picture of a face, not what a person feels. {OWN_LIMITS if own else LIMITS} Not for
decisions about people: not for hiring, policing, education, health or insurance.
"""

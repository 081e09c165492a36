"""The Models tab's table: every model with its figures, sorted by a click on a heading, chosen by a click on a row."""

from collections.abc import Sequence
from html import escape

from fer.app import components
from fer.models.checkpoint import FERModel
from fer.models.ensemble import Ensemble
from fer.release import model_card
from fer.utils.model_files import SELECTED

# Headings for the cells of `model_card.table_row`, with what they say.
HEADINGS = {
    "Model": "A click on a row selects it",
    "Parameters": "Batch-norm statistics are counted, as Keras does",
    "File": "Weights as float16",
    "Validation": "Accuracy on PublicTest, on which epochs were chosen",
    "Test (95% interval)": "Accuracy on PrivateTest, one view of each face",
    "Test, deduplicated": "Without faces that are also in Training",
    "Test, 10-crop TTA": "Average over ten crops of each face",
    "Robust": "Accuracy on FER-2013-C: PrivateTest with noise, blur, darkness and other corruptions",
    "Macro-F1": "Mean F1 score over the classes",
    "ECE": "Expected calibration error",
    "Latency, ms": "One face on one core, where it was measured",
}


def render(models: Sequence[FERModel | Ensemble]) -> str:
    """The table as markup; `data-name` of a row is the model's name."""
    heads = "".join(
        f'<th scope="col" aria-sort="none"><button type="button" title="{escape(says)}">{escape(name)}</button></th>'
        for name, says in HEADINGS.items()
    )
    cells = [[cell.strip("`") for cell in model_card.table_row(model)] for model in models]
    saved = components.csv_link(list(HEADINGS), cells, "models")
    rows = "".join(
        _row(index, name_of(model), row) for index, (model, row) in enumerate(zip(models, cells, strict=True))
    )
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="All models"><table class="models">'
        f'<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div><p class="take">Save as {saved}</p>'
    )


def name_of(model: FERModel | Ensemble) -> str:
    return SELECTED if isinstance(model, Ensemble) else model.name


def _row(index: int, name: str, cells: list[str]) -> str:
    shown = components.linked(cells[0])
    first = f'<button type="button" data-choice="{index}">{shown}</button>' if name != SELECTED else shown
    rest = "".join(f'<td class="number">{escape(cell)}</td>' for cell in cells[1:])
    return f'<tr data-name="{escape(name)}"><th scope="row">{first}</th>{rest}</tr>'

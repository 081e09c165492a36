"""The Activations tab's slider: the network as a row of blocks, one a layer, from pixels to probabilities.

Its `choice` event has the `index` of the step that the visitor slides to, or clicks, and a `number` to be answered.
"""

from html import escape

from torch import nn

from fer.features import activations, layer_report, receptive_field
from fer.models import layers, summary
from fer.models.checkpoint import FERModel

# Blocks are as high as their layer's maps are wide; the sentence about a layer is there before the server answers.
# One step is asked for at a time; where the visitor has slid on meanwhile, the next one is the last.
JS = """const range = () => element.querySelector('input');
let number = 0, asked = null, patience = 0;
function ask() {
  if (asked !== null) return;
  asked = range().value;
  patience = setTimeout(free, 5000);
  trigger('choice', {index: Number(asked), number: ++number});
}
function free() {
  clearTimeout(patience);
  const before = asked;
  asked = null;
  if (before !== null && range().value !== before) ask();
}
watch('answered', () => { if (props.answered === number) free(); });
function tell() {
  const blocks = [...element.querySelectorAll('[data-line]')], chosen = blocks[range().value];
  blocks.forEach(block => block.classList.toggle('on', block === chosen));
  element.querySelector('output').textContent = chosen.dataset.line;
  range().setAttribute('aria-valuetext', chosen.dataset.line);
  ask();
}
element.addEventListener('input', tell);
element.addEventListener('click', event => {
  const block = event.target.closest('[data-line]');
  if (!block) return;
  range().value = [...block.parentNode.children].indexOf(block);
  tell();
});"""

CSS = """
.blocks { display: flex; align-items: flex-end; gap: 2px; height: 64px; margin-top: 8px; padding: 0 8px; }
.blocks i { flex: 1 1 0; min-width: 0; height: calc(10px + var(--high) * 54px); border-radius: 3px; cursor: pointer;
  background: var(--neutral-400); opacity: .55; }
.blocks .weights { background: var(--primary-500); }
.blocks i:hover { opacity: .8; }
.blocks .on { opacity: 1; box-shadow: 0 0 0 2px var(--body-background-fill), 0 0 0 4px var(--primary-500); }
input { display: block; width: 100%; margin: 8px 0 4px; accent-color: var(--primary-500); }
input:focus-visible { outline: 2px solid var(--primary-500); outline-offset: 3px; }
p { display: flex; justify-content: space-between; margin: 0; font-size: var(--text-sm);
  color: var(--body-text-color-subdued); }
output { display: block; min-height: 1.4em; font-size: var(--text-lg); color: var(--body-text-color); }
"""


def drawn(chain: FERModel, layer: str) -> str:
    """The slider of a network at a layer, as markup."""
    rows = {row.name: row for row in summary.layer_table(chain)}
    names = layer_report.list_steps(chain)
    words = [line(chain, rows.get(name), name) for name in names]
    blocks = "".join(
        f'<i class="{_classes(chain, name, name == layer)}" style="--high: {_high(rows.get(name), name)}" '
        f'title="{escape(text)}" data-line="{escape(text)}"></i>'
        for name, text in zip(names, words, strict=True)
    )
    at = names.index(layer)
    return (
        f'<output role="status">{escape(words[at])}</output><div class="blocks" aria-hidden="true">{blocks}</div>'
        f'<input type="range" min="0" max="{len(names) - 1}" value="{at}" aria-label="Layer" '
        f'aria-valuetext="{escape(words[at])}"><p><span>pixels</span><span>probabilities</span></p>'
    )


def line(chain: FERModel, row: summary.LayerSummary | None, name: str) -> str:
    """What there is to know of a step before it is looked at."""
    if row is None:
        return "pixels: the face as the network gets it" if name == layer_report.PIXELS else f"{name}: its answer"
    if len(row.shape) == 1 or row.shape[1:] == (1, 1):
        classes = name == activations.active_layers(chain)[-1]
        return f"{name}: a logit for each of {row.shape[0]} emotions" if classes else f"{name}: {row.shape[0]} neurons"
    count, high, wide = row.shape
    field = min(receptive_field.receptive_field(chain, name).size, layers.SIDE)
    what = f"{count} filters" if count > 1 else "the pixels, centred"
    return f"{name}: {what}, {high} x {wide} places each" + (f" that see {field} x {field} pixels" * (field > 1))


def _classes(chain: FERModel, name: str, chosen: bool) -> str:
    module = chain[name] if name in dict(chain.named_children()) else None
    return " ".join(["weights"] * isinstance(module, nn.Conv2d | nn.Linear) + ["on"] * chosen)


def _high(row: summary.LayerSummary | None, name: str) -> str:
    """The block's height as a share: that of the maps' side; a little of it for numbers."""
    side = layers.SIDE if name == layer_report.PIXELS else row.shape[1] if row and len(row.shape) == 3 else 1
    return f"{side / layers.SIDE:.2f}"

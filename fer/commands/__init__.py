"""The commands of ``python -m fer``, by name: each a thin call into one module, which it imports when it is called."""

from collections.abc import Callable

from fer.commands import explaining, measuring, reading, repeating, using

COMMANDS: dict[str, Callable[..., int | None]] = {
    "data": reading.data,
    "networks": measuring.list_networks,
    "summary": measuring.summary,
    "train": measuring.train,
    "evaluate": measuring.evaluate,
    "confusion": measuring.confusion,
    "committee": measuring.committee,
    "predict": using.predict,
    "crop": using.crop,
    "saliency": explaining.saliency,
    "trust": explaining.trust,
    "regions": explaining.regions,
    "activations": repeating.activations,
    "redundancy": repeating.redundancy,
    "ascend": explaining.ascend,
    "atlas": explaining.atlas,
    "study": measuring.study,
    "export": using.export,
    "push": using.push,
    "space": using.space,
}

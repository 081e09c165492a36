from statistics import mean

from fer.studies.normalization import course
from fer.studies.runner import Result, StudyConfig, share
from fer.training.config import default_config

_PARAMETERS = {"cnn": 3_480_000, "dnn": 3_100_000}  # as report 1 rounds them


# ------------------------------------------------------------------------------------------------ CNN against DNN


def cnn_against_dnn(settings: StudyConfig) -> Result:
    """Does a network with convolutions read faces better than one of like size without, trained in the same way?

    Both by report 1's recipe; the curves of shipped networks that began with it are used as they are.
    """
    rows, curves = [], {}
    for name in ("cnn", "dnn"):
        runs = [course(settings, default_config(name, seed=seed)) for seed in range(settings.seeds)]
        curves |= {name if seed == 0 else f"{name}, seed {seed}": run.history for seed, run in enumerate(runs)}
        last = {key: mean(run.history[-1][key] for run in runs) for key in runs[0].history[-1]}
        row = {"network": name, "parameters": runs[0].parameters, "report_parameters": _PARAMETERS[name]}
        row |= {"epochs": len(runs[0].history)} | share(last["public_accuracy"], runs[0].faces)
        row |= {"without_duplicates": last["public_accuracy_deduplicated"], "training_accuracy": last["accuracy"]}
        rows.append(row | {"source": "; ".join(dict.fromkeys(run.source for run in runs))})
    notes = [
        "Accuracies are those after the last epoch, on PublicTest; the training accuracy is that of the augmented "
        "faces with dropout on. The moving average of the weights is what is measured.",
        "Report 1 prints no accuracies for the two, only curves: the CNN does better.",
    ]
    return Result(rows, notes, curves)

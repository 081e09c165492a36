import sys

from fer.cli.output import print_json
from fer.cli.train import STUDIED, _check_folder
from fer.utils import outputs


def study(name: str, quick: bool, root: str | None, out: str | None, seeds: int | None, as_json: bool) -> None:
    """Repeats an experiment of the reports; writes its table, its page and its figure to weights/studies/NAME/."""
    from fer.studies import results
    from fer.studies import run as studies_run
    from fer.studies.registry import get_study
    from fer.utils import tables

    settings = studies_run.study_config(name, out, root, quick, seeds, quiet=as_json)
    _check_folder(settings.folder, STUDIED, out, root, [])
    with outputs.one_writer(settings.folder):
        question, result = get_study(name).question, studies_run.run_study(name, settings)
        table = results.write_results(name, question, result, settings.folder, quick, settings.seeds)
        try:
            studies_run.draw_figure(result, settings.folder / "figure.png")
        except ModuleNotFoundError as error:
            print(f"no figure.png: {error.name} is not installed; repeat the command where it is", file=sys.stderr)
    if as_json:
        return print_json(table)
    notes = "".join(f"\n- {note}" for note in table["notes"])
    print(f"{question}\n\n{tables.markdown(table['rows'])}\n{notes}\nwritten to {settings.folder}")
    return None

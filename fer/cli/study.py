"""The command that repeats an experiment of the reports: study."""

import sys
from dataclasses import dataclass

from fer.cli.output import print_json
from fer.cli.settings import DataSettings, Subparsers, add_command, argument
from fer.cli.train import check_folder
from fer.utils import outputs

_FILES = ("results.json", "curves.csv", "figure.png", "README.md")


@dataclass(frozen=True, kw_only=True)
class StudySettings(DataSettings):
    name: str
    """The study; an unknown name lists them all."""
    quick: bool = False
    """Few faces, two epochs and a small network: shows that it runs, and nothing about faces."""
    out: str | None = argument(None, "FOLDER")
    """Where to write, instead of weights/studies/NAME/."""
    seeds: int | None = None
    """How many trainings of each kind are averaged. By default the study's own number."""


def study(settings: StudySettings) -> None:
    """Repeat an experiment of the reports; writes its table, its page and its figure."""
    from fer.studies import results
    from fer.studies import run as studies
    from fer.studies.registry import get_study
    from fer.utils import tables

    name, quick = settings.name, settings.quick
    config = studies.study_config(name, settings.out, settings.data, quick, settings.seeds, quiet=settings.json)
    check_folder(config.folder, _FILES, settings.out, settings.data, [])
    with outputs.one_writer(config.folder):
        question, result = get_study(name).question, studies.run_study(name, config)
        table = results.write_results(name, question, result, config.folder, quick, config.seeds)
        try:
            studies.draw_figure(result, config.folder / "figure.png")
        except ModuleNotFoundError as error:
            print(f"no figure.png: {error.name} is not installed; repeat the command where it is", file=sys.stderr)
    if settings.json:
        return print_json(table)
    notes = "".join(f"\n- {note}" for note in table["notes"])
    print(f"{question}\n\n{tables.markdown(table['rows'])}\n{notes}\nwritten to {config.folder}")
    return None


def add_parser(subparsers: Subparsers) -> None:
    add_command(subparsers, study, StudySettings)

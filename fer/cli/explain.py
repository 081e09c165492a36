"""Commands that look inside a network: saliency, trust, regions, ascend, atlas."""

import sys
import time
from pathlib import Path

from torch import Tensor

from fer.cli.output import file_for, files_of, load_detector, print_json
from fer.data import dataset, fer2013
from fer.models import checkpoint
from fer.utils.io import atomic_write as whole_file


def saliency(
    image: str, network: str, out: str | None, whole: bool, as_json: bool, method: str | None = None, **question: object
) -> None:  # fmt: skip
    """Writes three pictures side by side: a face, why it got its answer, and what is left of it when the rest blurs."""
    from fer.attribution import explanation
    from fer.attribution.explain import list_methods
    from fer.data import image_io
    from fer.inference import predictor
    from fer.plotting import maps

    file = str(file_for(out, f"{Path(image).stem}-saliency.png", [image, *files_of(network)]))
    trained = checkpoint.load_model(network)
    found = predictor.predict_image(image_io.open_image(image), trained, load_detector(quiet=whole), whole).faces
    if not found:
        raise ValueError(f"no face was found in {image}; --whole takes the whole picture as a face")
    reason = explanation.explain_face(trained, found[0].crop, method or list_methods(trained)[0], **question)
    with whole_file(Path(file)) as partial:
        maps.titled_images(explanation.labelled_images(reason)).savefig(partial, dpi=150)
    scores = explanation.score_explanation(reason, explanation.measure_output_changes(trained, reason))
    if as_json:
        return print_json(explanation.to_json(reason, scores) | {"file": file})
    print("\n".join([*explanation.describe(reason, scores), f"written to {file}"]))


def trust(network: str, faces: int, root: str | None, as_json: bool) -> None:
    """Scores each saliency method on a network; writes weights/<name>/attribution_benchmark.json."""
    from fer.attribution import benchmark

    trained = checkpoint.load_model(network)
    (validation,) = fer2013.get_splits(fer2013.load_fer2013(root), "PublicTest")
    rows = benchmark.run_benchmark(trained, benchmark.sample_faces(validation, faces), quiet=as_json)
    if folder := checkpoint.resolve_path(network):
        benchmark.save_benchmark(rows, folder)
    if as_json:
        return print_json(rows)
    print(f"{'method':22} {'faithfulness corr.':>24} {'infidelity score':>16} {'randomized rank corr.':>25}")
    for row in rows:
        rank = row["randomization_rank_corr"]
        print(
            f"{row['method']:22} {row['faithfulness_correlation']:+15.3f} +- {row['ci95_half_width']:.3f} "
            f"{row['infidelity_score']:16.3f} {'' if rank is None else f'{rank:25.3f}'}"
        )
    return None


def regions(network: str, each: int, root: str | None, as_json: bool) -> None:
    """Measures attribution by face region and emotion; writes weights/<name>/attribution_regions.npz."""
    from fer.attribution import region_benchmark

    trained = checkpoint.load_model(network)
    (validation,) = fer2013.get_splits(fer2013.load_fer2013(root), "PublicTest")
    validation = dataset.with_label_set(validation, trained.labels)
    look = region_benchmark.measure_regions(
        trained, region_benchmark.sample_faces(validation, each), trained.labels, quiet=as_json
    )
    if folder := checkpoint.resolve_path(network):
        region_benchmark.save_region_attribution(look, folder)
    if as_json:
        return print_json({"rows": look.rows(), "density": look.density(), "claim": vars(look.claim)})
    print(f"{'':16}{'faces':>6}", *(f"{name:>8}" for name in look.density()))
    for row in look.rows():
        print(f"{row['label']:16}{row['faces']:6}", *(f"{row[name]:8.1%}" for name in look.density()))
    print(f"{'as much as area':22}", *(f"{value:7.2f}x" for value in look.density().values()))
    print(region_benchmark.claim_sentence(look))
    return None


def ascend(
    network: str, layer: str, filters: str | None, preset: str, steps: int | None, seed: int, out: str | None,
    as_json: bool, **parts: str | None,
) -> None:  # fmt: skip
    """Grows the picture that each filter of a layer answers most, and writes them as one."""
    from fer.features import presets, visualization
    from fer.plotting import encode, maps

    began, chain = time.perf_counter(), checkpoint.load_model(network)
    numbers = visualization.parse_filters(filters) if filters else None
    file = file_for(out, f"ascent-{chain.name}-{layer}.png", files_of(network))
    *_, frame = visualization.visualize(
        chain, layer, numbers, presets.preset_with(preset, **parts), seed=seed, steps=steps
    )
    tiles = frame.images[:, 0].numpy()
    encode.save_image(maps.tile_images(tiles, columns=16, scale=max(1, 96 // tiles.shape[-1])), file)
    rows = [
        {"filter": number, "ascent": round(value, 4), "dead": dead}
        for number, value, dead in zip(
            numbers or range(len(tiles)), frame.values.tolist(), frame.dead.tolist(), strict=True
        )
    ]
    seconds = round(time.perf_counter() - began, 2)
    if as_json:
        return print_json({"layer": layer, "filters": rows, "seconds": seconds, "file": str(file)})
    for row in rows:
        print(f"{layer} filter {row['filter']:4} {row['ascent']:10.3f}{'  dead' if row['dead'] else ''}")
    print(f"{file}, row by row, in {seconds} s")
    return None


def atlas(network: str, root: str | None, as_json: bool) -> None:
    """Visualizes every filter of a network; keeps the images in weights/<name>/feature_vis/, for the page to show."""
    from fer.features import atlas

    began, trained, folder = time.perf_counter(), checkpoint.load_model(network), checkpoint.resolve_path(network)
    if folder is None:
        raise ValueError(f"{network!r} is no folder here, so there is no place beside its weights")
    pixels = _public_test(root)
    rows = []
    for layer, found in atlas.build_atlas(trained, folder, pixels, quiet=as_json):
        rows.append({"layer": layer} | atlas.layer_metrics(found))
        if not as_json:
            print(
                "{layer:10} {filters:4} filters, {dead:3} dead, two seeds agree {seed_agreement:.2f}".format(**rows[-1])
            )
    told = {
        "seconds": round(time.perf_counter() - began, 1),
        "bytes": atlas.total_bytes(folder),
        "faces": pixels is not None,
    }
    if as_json:
        return print_json({"layers": rows} | told)
    print(f"{folder}: {told['bytes'] / 1e6:.2f} MB in {told['seconds']} s")
    return None


def _public_test(root: str | None) -> Tensor | None:
    """Its pixels; without the data set None, which is said, unless the data set was asked for by name."""
    try:
        return fer2013.get_splits(fer2013.load_fer2013(root), "PublicTest")[0].pixels
    except dataset.DataError as error:
        if root:
            raise
        print(f"the best real faces are left out: {error}", file=sys.stderr)
        return None

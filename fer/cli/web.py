"""The command that writes a static page: web."""

import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fer.cli.output import files_of, print_json
from fer.cli.settings import Settings, Subparsers, add_command, argument
from fer.utils import outputs


@dataclass(frozen=True, kw_only=True)
class WebSettings(Settings):
    out: str
    """The folder to write to: a new one, or an earlier site."""
    models: str = argument("compact,compact-ferplus,cnn", "NAMES")
    """The models it has, separated by commas; it opens with the first."""
    runtime: str | None = argument(None, "DIR")
    """Copy ONNX Runtime Web from dist/ of its npm package, in place of fetching it from a public CDN."""
    serve: bool = False
    """Show it on this computer until Ctrl+C."""
    port: int = 7861
    """Where to show it."""


def web(settings: WebSettings) -> None:
    """Write a page that needs no server: camera, photograph and saliency map run in the browser alone."""
    from fer.release.web import site

    folder, names = Path(settings.out), settings.models.split(",")
    outputs.check_outputs([file for name in names for file in files_of(name)], [folder / "index.html"])
    found = site.write_site(folder, names, Path(settings.runtime) if settings.runtime else None)
    print_json({"folder": settings.out} | found) if settings.json else print(_summary(settings.out, found))
    if settings.serve:
        _serve(folder, settings.port)


def _summary(out: str, found: dict) -> str:
    faces = "in it" if found["yunet"] else "fetched from the Hub by the browser"
    engine = "in it" if found["runtime"] else "fetched from a public CDN by the browser, and compared with its digest"
    size = f"{found['files']} files, {found['bytes'] / 1e6:.1f} MB"
    return f"{out}: {size}: {', '.join(found['models'])}; YuNet {faces}; ONNX Runtime Web {engine}"


def _serve(folder: Path, port: int) -> None:
    """Serves the site on this computer until Ctrl+C."""
    from fer.release.web import site

    with site.server(folder, port) as server:
        print(f"http://127.0.0.1:{server.server_port}", file=sys.stderr, flush=True)
        with suppress(KeyboardInterrupt):
            server.serve_forever()


def add_parser(subparsers: Subparsers) -> None:
    add_command(subparsers, web, WebSettings)

"""The site's files: pages out of `static/`, models, the face detector, a Space's README; and a server on loopback."""

import hashlib
import json
from collections.abc import Iterable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fer
from fer.faces import detector
from fer.models import checkpoint
from fer.release.web import constants, models, runtime
from fer.utils import outputs
from fer.utils.io import atomic_write

MODELS = ("compact", "compact-ferplus", "cnn")
STATIC = Path(__file__).parent / "static"
EXAMPLES = Path(fer.__file__).parent / "data" / "assets" / "examples"
HUB = ("https://huggingface.co", "https://*.huggingface.co", "https://*.hf.co")  # the Hub, and where it keeps its files
YUNET_FILE = "models/yunet.onnx"
YUNET = {  # OpenCV Zoo's face_detection_yunet_2023mar.onnx, MIT; where in it its input's height and width are stated
    "bytes": 232589, "sha384": "Q78TFLPOUFIJMTv3Cvx5uAOGWEWXkj7UptyYAetEjO7vDbqwhwFR7HaKNS7dZzvV",
    "fixedLengths": [229272, 229277],
}  # fmt: skip
ISOLATED = {  # what lets a page use several threads
    "cross-origin-embedder-policy": "require-corp",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "cross-origin",
}


def write_site(out: Path, names: Iterable[str] = MODELS, runtime_folder: Path | None = None) -> dict:
    """Writes the site into the folder `out`, and tells what is in it: {"files", "bytes", "models", "yunet", "runtime"}.

    names: the models, the first of which is loaded at once. runtime_folder: `dist/` of the npm package onnxruntime-web,
    which is copied into the site; without it the browser fetches the same files from a public CDN.

    Raises:
        ValueError: `out` holds something else, or a model or the runtime cannot be had.
    """
    out = Path(out)
    if out.exists() and not (out / "site.js").is_file() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"out is {str(out)!r}, which holds other files: name a new folder")
    yunet, engine = _yunet(), runtime.read(runtime_folder) if runtime_folder else {}
    files = _examples() | {YUNET_FILE: yunet} if yunet else _examples()
    files |= {f"runtime/{name}": content for name, content in engine.items()}
    entries = []
    for name in names:
        entry, content = _model(name)
        entries.append(entry)
        files[entry["file"]] = content
    site = constants.shared() | {
        "models": entries,
        "yunet": YUNET | {"file": YUNET_FILE if yunet else detector.ADDRESS},
        "runtime": runtime.table("runtime/") if engine else runtime.table(),
        "examples": constants.examples(EXAMPLES),
        "filesCache": "fer-files",
    }
    files |= _pages(site, policy(bool(engine), bool(yunet)))
    _write(out, files)
    total = sum(map(len, files.values()))
    return {"files": len(files), "bytes": total, "models": list(names), "yunet": bool(yunet), "runtime": bool(engine)}


def policy(own_runtime: bool, own_yunet: bool) -> str:
    """The page's Content-Security-Policy: scripts of its own, no other host but those that its files come from."""
    hosts = ([] if own_runtime else [runtime.CDN]) + ([] if own_yunet else list(HUB))
    return "; ".join(
        [
            "default-src 'none'",
            "script-src 'self' blob: 'wasm-unsafe-eval'",  # blob: the runtime, once its digest has been compared
            "worker-src 'self' blob:",
            "style-src 'self'",
            "img-src 'self' blob:",
            "media-src 'self' blob:",
            " ".join(["connect-src 'self'", *hosts]),
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def _yunet() -> bytes | None:
    """YuNet's file where it is at hand and the one that the page was made for."""
    file = detector.yunet_file()
    content = file.read_bytes() if file and file.is_file() else b""
    return content if runtime.sha384(content) == YUNET["sha384"] else None


def _model(name: str) -> tuple[dict, bytes]:
    network = checkpoint.load_model(name)
    content = models.export(network)
    file = f"models/{name}-{hashlib.sha256(content).hexdigest()[:8]}.onnx"
    digest = runtime.sha384(content)
    return constants.of_model(network, file, content, digest, models.has_exact_maps(network)), content


def _examples() -> dict[str, bytes]:
    return {entry["file"]: (EXAMPLES.parent / entry["file"]).read_bytes() for entry in constants.examples(EXAMPLES)}


def _pages(site: dict, rules: str) -> dict[str, bytes]:
    """The page's own small files, which the service worker keeps under a name that says their version."""
    pages = {file.name: file.read_text(encoding="utf-8") for file in STATIC.iterdir() if file.is_file()}
    pages["index.html"] = pages["index.html"].replace("{{policy}}", rules)
    pages["site.js"] = f"// Written by `python -m fer web`.\nexport default {json.dumps(site, indent=1)};\n"
    worker = pages.pop("sw.js")
    version = hashlib.sha256("".join(map(pages.get, sorted(pages))).encode()).hexdigest()[:12]
    kept = ["./", *sorted(pages), *(entry["file"] for entry in site["examples"])]
    worker = worker.replace("/* name */ ''", repr(f"fer-page-{version}"))
    pages["sw.js"] = worker.replace("/* files */ []", json.dumps(kept))
    pages["README.md"] = readme(site)
    return {name: text.encode() for name, text in pages.items()}


def readme(site: dict) -> str:
    """The README of a static Space, whose headers let the page use several threads."""
    headers = "\n".join(f"  {name}: {value}" for name, value in ISOLATED.items())
    listed = "\n".join(f"- `{entry['title']}`: {', '.join(entry['labels'])}" for entry in site["models"])
    return README.format(headers=headers, models=listed, version=runtime.VERSION)


README = """---
title: Facial expressions in your browser
emoji: 🎭
colorFrom: indigo
colorTo: gray
sdk: static
app_file: index.html
short_description: Predict and explain facial expressions, no server
license: mit
tags:
- facial-expression-recognition
- fer2013
- onnx
custom_headers:
{headers}
---

# Facial expressions in your browser

A static site: the camera's frames and photographs are processed in the browser and never leave it. Written by
`python -m fer web`. Models, with their size and accuracy on their test faces:

{models}

They run by ONNX Runtime Web {version} (MIT). Faces are found by YuNet (OpenCV Zoo, MIT). A model names the expression
that people would choose for a picture of a face, not what a person feels; it is no ground for decisions about anybody.
"""


def _write(out: Path, files: dict[str, bytes]) -> None:
    """Writes all files, and removes models and runtimes of an earlier version of the site."""
    outputs.check_outputs([], [out / name for name in files], out)
    with outputs.one_writer(out):
        for name, content in files.items():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(out / name) as partial_file:
                partial_file.write_bytes(content)
        for folder in ("models", "runtime"):
            for file in (out / folder).glob("*"):
                if file.suffix in (".onnx", ".wasm", ".mjs") and f"{folder}/{file.name}" not in files:
                    file.unlink()


# ------------------------------------------------------------------------------------------------ on loopback


class _Handler(SimpleHTTPRequestHandler):
    """Files with the headers of the Space."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".mjs": "text/javascript", ".wasm": "application/wasm"}

    def end_headers(self) -> None:
        for name, value in (ISOLATED | {"cache-control": "no-cache"}).items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *arguments: object) -> None:
        """Nothing: who looks at the page is nobody's business."""


def server(folder: Path, port: int = 0) -> ThreadingHTTPServer:
    """A server of the site on 127.0.0.1, at a free port for 0; `serve_forever` runs it."""
    return ThreadingHTTPServer(("127.0.0.1", port), partial(_Handler, directory=str(folder)))

"""ONNX Runtime Web, pinned: which of its files the page uses, with their sizes and SHA-384 digests.

The figures are those of the npm package `onnxruntime-web` of this version, which jsDelivr serves byte for byte. A
browser takes one script and one WebAssembly file: `jspi` or `asyncify` where it has WebGPU, else `wasm`.
"""

import base64
import hashlib
from pathlib import Path

VERSION = "1.30.0"
CDN = f"https://cdn.jsdelivr.net/npm/onnxruntime-web@{VERSION}/dist/"
BUILDS = {  # script and WebAssembly
    "wasm": ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"),
    "jspi": ("ort.jspi.bundle.min.mjs", "ort-wasm-simd-threaded.jspi.wasm"),
    "asyncify": ("ort.webgpu.bundle.min.mjs", "ort-wasm-simd-threaded.asyncify.wasm"),
}
SIZES = {
    "ort.wasm.bundle.min.mjs": 73054,
    "ort-wasm-simd-threaded.wasm": 14239897,
    "ort.jspi.bundle.min.mjs": 115872,
    "ort-wasm-simd-threaded.jspi.wasm": 16758545,
    "ort.webgpu.bundle.min.mjs": 117732,
    "ort-wasm-simd-threaded.asyncify.wasm": 26781914,
}
SHA384 = {
    "ort.wasm.bundle.min.mjs":
        "PLWz+nHEVHpjwBsO0YVdvQj6n5814Iv8E3b8FG0Rp/uIAtjFMCKOpP66iPzedrIG",
    "ort-wasm-simd-threaded.wasm":
        "vjBJ1z7qrhkTyYsNqKeF6c7N+nOJSU94czEo+tvZcu8G75JparGq9kB+kTnEUNVM",
    "ort.jspi.bundle.min.mjs":
        "9RUgRCKe1ziB7Sof69RRpoybxSmnC67IsfHFamx/k+9m39GbvHvw5Sets/Xpsro+",
    "ort-wasm-simd-threaded.jspi.wasm":
        "bMP/XSpH5FjIIaVnUc1eR3cDsGZGdO1ZPjcHGEtvMwOgZZFcOEN8VrGooR81HSFO",
    "ort.webgpu.bundle.min.mjs":
        "1ntMeyj+z5diX6vBR5h+zlJBPc4iNvhCxE6nlammh8daBYcLBZkzrwDkuJjhwI+f",
    "ort-wasm-simd-threaded.asyncify.wasm":
        "EPVDLTxuO663dkZO/pcKJF6vOyyfq/5z9FY1oksN0UWFX2ABH4wDDZQHeNoUleWR",
}  # fmt: skip


def sha384(content: bytes) -> str:
    """The digest in base64, as subresource integrity has it after `sha384-`."""
    return base64.b64encode(hashlib.sha384(content).digest()).decode()


def table(where: str = CDN) -> dict[str, dict[str, dict]]:
    """What the page's scripts need: by build and kind, the file's address below `where`, its bytes and its digest."""
    return {
        build: {kind: _entry(where, name) for kind, name in zip(("script", "wasm"), names, strict=True)}
        for build, names in BUILDS.items()
    }


def _entry(where: str, name: str) -> dict:
    return {"file": where + name, "bytes": SIZES[name], "sha384": SHA384[name]}


def read(folder: Path) -> dict[str, bytes]:
    """The pinned files, by name, out of `dist/` of the npm package.

    Raises:
        ValueError: a file is missing or of another version.
    """
    remedy = f"`npm install onnxruntime-web@{VERSION}` brings node_modules/onnxruntime-web/dist"
    found = {}
    for name, digest in SHA384.items():
        try:
            found[name] = (folder / name).read_bytes()
        except OSError:
            raise ValueError(f"runtime is {str(folder)!r}, which has no {name}: {remedy}") from None
        if sha384(found[name]) != digest:
            raise ValueError(f"{folder / name} is not of onnxruntime-web {VERSION}: {remedy}")
    return found

"""What pyproject.toml cannot say: weights/compact of the checkout lies in the wheel as fer/weights/compact."""

from setuptools import find_packages, setup

WEIGHTS = "fer.weights.compact"
DATA = ("png", "npz", "css", "js", "html", "json", "svg")

setup(
    packages=[*find_packages(include=["fer", "fer.*"]), WEIGHTS],
    package_dir={WEIGHTS: "weights/compact"},
    package_data={
        "fer": [f"**/*.{ending}" for ending in DATA],
        WEIGHTS: ["config.json", "model.safetensors", "README.md"],
    },
)

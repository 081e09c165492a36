"""A checkpoint onto the Hugging Face Hub: ``python -m fer push NETWORK OWNER/NAME``.

The whole folder goes: weights, config, the card with its figures, both curves, the kept logits. `checkpoint.load` and
every command read it back by ``OWNER/NAME``. Who pushes is told by `hf auth login`, or $HF_TOKEN.
"""

from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError

from fer.models import checkpoint

_NOT_UPLOADED = ["resume.pt", "teachers/*", "training_features.npz"]


def push_to_hub(name: str, repository: str, private: bool = False) -> str:
    """Uploads the checkpoint ``name`` in one commit, and makes the repository if there is none; its address.

    Raises:
        ValueError: no such checkpoint here, a repository's name that the Hub does not take, or its refusal.
    """
    folder = checkpoint.resolve_path(name)
    if folder is None:
        raise ValueError(
            f"{name!r} is no folder here: expected one of {', '.join(checkpoint.list_checkpoints())}, or a path"
        )
    checkpoint.load_model(name)  # a broken one stays here
    return _upload(folder, repository, private)


def _upload(folder: Path, repository: str, private: bool) -> str:
    hub = HfApi()
    try:
        address = hub.create_repo(repository, private=private, exist_ok=True)
        hub.upload_folder(
            repo_id=repository,
            folder_path=folder,
            commit_message=f"Upload {folder.name}",
            ignore_patterns=_NOT_UPLOADED,
        )
    except HFValidationError as error:
        raise ValueError(f"repository is {repository!r}: expected OWNER/NAME ({error})") from error
    except (HfHubHTTPError, LocalTokenNotFoundError) as error:
        raise ValueError(f"the Hub refused {repository}: {error}; `hf auth login` tells it who you are") from error
    return str(address)

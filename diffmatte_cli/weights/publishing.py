"""Publish weights on the Hugging Face Hub: the file and a model card, and the record that pins them."""

from dataclasses import replace
from pathlib import Path

from ..errors import UsageError, WeightsError
from .files import file_sha256, in_megabytes
from .hub import hub_api, hub_client
from .records import WeightsRecord, check_name, is_repository
from .store import WeightsStore

__all__ = ["model_card", "publish"]


def publish(name: str, file: Path, repo: str, store: WeightsStore, *, progress: bool = True) -> WeightsRecord:
    """Upload a weights file with a model card in one commit, and return the record that pins it.

    A missing repository is made. Licence and training data come from the file's metadata, or from the record of
    ``name``.

    Raises UsageError before anything is sent, WeightsError for an unusable file or a refusal by the Hub.
    """
    check_name(name, f"cannot publish {name!r}")
    if not is_repository(repo):
        raise UsageError(f"the repository must be OWNER/REPO, not {repo!r}", "repo")
    draft = _draft(name, file, store.records().get(name))
    with hub_client(f"publish {name} to {repo}", store, progress):
        from huggingface_hub import CommitOperationAdd

        api = hub_api()
        api.create_repo(repo, exist_ok=True)
        record = replace(draft, repo=repo, filename=f"{name}.safetensors")
        card = CommitOperationAdd("README.md", model_card(record).encode())
        weights = CommitOperationAdd(f"{name}.safetensors", str(file))
        if (weights.upload_info.sha256.hex(), weights.upload_info.size) != (record.sha256, record.size):
            raise WeightsError(f"{file} was replaced since the command began: run it again")
        commit = api.create_commit(repo, [weights, card], commit_message=f"Add {name}")
    return replace(record, revision=commit.oid)


def _draft(name: str, file: Path, known: WeightsRecord | None) -> WeightsRecord:
    """Describe a weights file before it has a place on the Hub."""
    from ..model.checkpoint import parameter_count, read_model

    sha256 = file_sha256(file)
    model, metadata = read_model(file, sha256)
    variant = model.config.variant
    if known is not None and known.variant != variant:
        raise UsageError(f"{file} is of the variant {variant}, but {name} is {known.variant}: choose another name")
    keys = ("licence", "trained_on")
    licence, trained_on = (metadata.get(key) or (getattr(known, key) if known else "") for key in keys)
    if not licence or not trained_on:
        raise UsageError(
            f"{file} does not say its licence and what it was trained on: give {name} a table with both in a weights"
            " file, and convert it again"
        )
    # What a table says of its own file does not hold for another one of its variant, imported under its name or not.
    said = metadata.get("model"), licence, trained_on
    is_its_own = known is not None and said == (name, known.licence, known.trained_on)
    kept = known if known is not None and is_its_own else WeightsRecord(name, variant, licence, trained_on)
    return replace(
        kept,
        licence=licence,
        trained_on=trained_on,
        bundled=None,
        sha256=sha256,
        size=file.stat().st_size,
        parameters=parameter_count(variant, model.config.decoder_width),
    )


# Licences that the Hub knows by these names; any other is "other" there, and named in the card.
_HUB_LICENCES = ("mit", "apache-2.0", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0")


def model_card(record: WeightsRecord) -> str:
    """Return the page that the Hub shows of a model, with the header that it reads."""
    from huggingface_hub import ModelCardData

    licence = record.licence.lower()
    known = licence in _HUB_LICENCES
    header = ModelCardData(
        license=licence if known else "other",
        license_name=None if known else "see-below",
        library_name="diffmatte",
        pipeline_tag="image-segmentation",
        tags=["image-matting", "alpha-matting", "diffusion"],
    )
    rows = {
        "variant": record.variant,
        "parameters": f"{record.parameters or 0:,}",
        "licence": record.licence,
        "trained on": record.trained_on,
        "file": f"`{record.filename}`, {in_megabytes(record.size or 0)}",
        "sha256": f"`{record.sha256}`",
        "converted from": record.upstream,
        "note": record.note,
    }
    cells = {key: str(value).replace("|", "\\|") for key, value in rows.items() if value}
    table = "\n".join(f"| {key} | {value} |" for key, value in cells.items())
    return _CARD.format(header=header.to_yaml(), name=record.name, table=table)


_CARD = """---
{header}
---

# {name}

Weights for natural image matting with diffmatte, an implementation of *Diffusion for Natural Image Matting*
(DiffMatte, ECCV 2024): a photograph and its trimap in, the alpha matte out.

| | |
|---|---|
{table}

With the table that `diffmatte weights publish` printed in a weights file:

    diffmatte matte cat.jpg --trimap cat_trimap.png --model {name} --weights-file weights.toml
"""

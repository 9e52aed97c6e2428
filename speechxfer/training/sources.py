"""What a run begins with, by content: so that it goes on where the files have moved, and not on other content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from speechxfer.config import FinetuneConfig, flat, to_dict
from speechxfer.data.loading import durations_s
from speechxfer.data.manifest import Manifest, data_digest
from speechxfer.encoders.checkpoints import MODEL_FILE, Checkpoint
from speechxfer.encoders.files import add_file
from speechxfer.encoders.weights import LANGUAGE_WEIGHTS
from speechxfer.errors import CheckpointError, ConfigError, DataError
from speechxfer.runs import RunFolder, Sources, Split
from speechxfer.runs.ownership import PLACES
from speechxfer.training.distributed import World

#: The files of a model's folder that decide what it computes.
_DECISIVE = ("*config.json", MODEL_FILE, "*.safetensors", "*.bin")
#: Columns of a manifest that may name the language, by its code.
_LANGUAGE = ("language", "locale", "lang")


def sources_of(manifests: Mapping[str, Manifest], checkpoint: Checkpoint, language_model: str = "none") -> Sources:
    """The content of the model, of each manifest by setting, and of the file of the language model, if it is one.

    Raises:
        CheckpointError: a file of the model cannot be read.
        DataError: nor can that of the language model.
    """
    splits = {name: split_of(manifest) for name, manifest in manifests.items()}
    is_file = language_model not in ("none", "auto")
    return Sources(model_digest(checkpoint), splits, _file_digest(Path(language_model)) if is_file else None)


def _file_digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); wanted a text, a manifest or an ARPA file"
        ) from error


def split_of(manifest: Manifest) -> Split:
    """A manifest's digest and size; durations that it does not state come from the headers of the files."""
    try:
        seconds = round(sum(durations_s(manifest, None)), 3)
    except DataError:  # it is reported where the audio is used
        seconds = None
    languages = {next((str(one.extra[name]) for name in _LANGUAGE if one.extra.get(name)), None) for one in manifest}
    return Split(
        digest=data_digest([manifest]),
        utterances=len(manifest),
        seconds=seconds,
        words=sum(len((utterance.text or "").split()) for utterance in manifest),
        speakers=len({utterance.speaker for utterance in manifest if utterance.speaker}),
        language=languages.pop() if len(languages) == 1 else None,
    )


def model_digest(checkpoint: Checkpoint) -> str:
    """A name for the weights and the configuration of a model, wherever its folder is.

    Raises:
        CheckpointError: a file cannot be read.
    """
    digest = hashlib.blake2b(digest_size=16)
    if checkpoint.base is not None:  # an adapter
        digest.update(model_digest(checkpoint.base).encode())
    files = {path for pattern in _DECISIVE for path in checkpoint.folder.glob(pattern)}
    for path in sorted(files - _of_other_languages(checkpoint)):
        add_file(digest, path.name, path)
    return digest.hexdigest()


def _of_other_languages(checkpoint: Checkpoint) -> set[Path]:
    """Files of a model of several languages that are not used."""
    used = {name.format(checkpoint.language_tag) for name in LANGUAGE_WEIGHTS}
    found = {path for name in LANGUAGE_WEIGHTS for path in checkpoint.folder.glob(name.format("*"))}
    return {path for path in found if path.name not in used}


def check_alike(world: World, found: Sources) -> None:
    """Look whether all processes work on the same, wherever each has it.

    Raises:
        ConfigError: one has another version of this package, another model or another manifest.
    """
    own = {"version of speechxfer": version("speechxfer"), **found.digests}
    everybody = world.gather({world.rank: (world.name, own)})
    main, wanted = everybody[0]
    for name, seen in everybody.values():
        if differing := [what for what in wanted if seen.get(what) != wanted[what]]:
            raise ConfigError(
                f"{name} and {main} differ in: {', '.join(differing)}; wanted the same package, model and manifests on "
                "all hosts, at the same paths"
            )


def check(run: RunFolder, config: FinetuneConfig, found: Sources) -> None:
    """Look whether a run that is to be resumed had the same data and the same model when it began.

    Raises:
        CheckpointError: the content is another.
        ConfigError: the path is another, in a run that has no digests.
    """
    began = run.sources.digests if run.sources else {}
    old, new = flat(to_dict(run.config)), flat(to_dict(config))
    for name in PLACES:
        if name in began and name in found.digests:
            if began[name] == found.digests[name]:
                continue
            words = {"model": "model", "language_model": "language model"}
            what = words.get(name, f"{name.rpartition('.')[2]} manifest")
            raise CheckpointError(
                f"{new[name]}: the {what} has changed since the run began; put the old one back, or start again with "
                "--overwrite"
            )
        # The checkpoint itself has a digest of the training and the dev manifest.
        if name not in ("train", "dev") and old.get(name) != new.get(name):
            raise ConfigError(
                f"{run.config_file}: the run was started with other settings ({name} was {old.get(name)!r}, now "
                f"{new.get(name)!r}); use the same ones, or --overwrite"
            )

"""Where weights come from: a folder, this package, an installed one, a CTranslate2 folder or the hub.

`find` only decides where the weights are, quickly and without torch; `Checkpoint.read` loads them.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Any

from speechxfer.config.families import FAMILIES, family_of
from speechxfer.encoders.files import read_json
from speechxfer.encoders.hub import from_hub, is_whole, one_more_from_hub
from speechxfer.encoders.weights import LANGUAGE_WEIGHTS, read_weights
from speechxfer.errors import CheckpointError, ConfigError
from speechxfer.languages import similar_language, tags_of
from speechxfer.registry import resolve

if TYPE_CHECKING:
    from torch import Tensor

#: Written into every folder `SpeechModel.save` makes.
MODEL_FILE = "speechxfer.json"
#: Written into every folder of an exported model, which other code opens than this.
EXPORTED_FILE = "exported.json"
#: Written by PEFT beside the weights of an adapter.
ADAPTER_FILE = "adapter_config.json"
#: Models that come with this package.
SHIPPED = Path(__file__).parents[1] / "pretrained"
#: Token -> output of a CTC head; in a model of several languages, such a vocabulary for each of them by its tag.
VOCABULARY = "vocab.json"
_SAMPLE_RATE = 16_000


@dataclass(frozen=True)
class Checkpoint:
    """A folder that holds a pre-trained model, and the name it was asked for by."""

    name: str
    folder: Path
    #: Of a folder that holds an adapter only: the model that the adapter belongs to.
    base: Checkpoint | None = None
    #: The language that was asked for, by any name; empty for the one that the folder is set to.
    language: str = ""
    #: Whether the folder holds weights; without, only their names and shapes are known, by the class in `config.json`.
    has_weights: bool = True

    @property
    def is_ours(self) -> bool:
        """Whether `SpeechModel.save` made it."""
        return (self.folder / MODEL_FILE).is_file()

    @property
    def has_adapter(self) -> bool:
        """Whether PEFT left an adapter in the folder, alone or beside its model."""
        return (self.folder / ADAPTER_FILE).is_file()

    def file(self, name: str) -> Path:
        """Where a file is: in the folder, or in that of the model below an adapter. It may be missing."""
        own = self.folder / name
        return own if self.base is None or own.exists() else self.base.file(name)

    def settings(self, name: str) -> dict[str, Any]:
        """What a JSON file holds that may be missing."""
        path = self.file(name)
        return read_json(path) if path.exists() else {}

    def feature_extractors(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        """What is done to waveforms first, in each file that says it."""
        for name in ("preprocessor_config.json", "processor_config.json"):
            values = self.settings(name)
            values = values.get("feature_extractor", values)
            if isinstance(values, dict):
                yield self.file(name), values

    @property
    def languages(self) -> tuple[str, ...]:
        """The tags of its languages, if it has weights and a vocabulary for each of them; else none."""
        config = self.settings("config.json")
        family = FAMILIES.get(str(config.get("model_type")))
        if self.is_ours or family is None or family.languages is None or not config.get(family.languages.setting):
            return ()
        vocabulary = self.settings(VOCABULARY)
        return tuple(vocabulary) if all(isinstance(inner, dict) for inner in vocabulary.values()) else ()

    @property
    def language_tag(self) -> str | None:
        """The tag of the language that it is opened in; None where it has no weights for each of several.

        Raises:
            CheckpointError: it lacks the language that was asked for or has several variants of it, or none was asked
                for and its folder is set to none.
        """
        known = self.languages
        if not self.language:
            usual = self.settings("tokenizer_config.json").get("target_lang")
            if known and usual not in known:
                raise CheckpointError(f"{self.name}: has {len(known)} languages and is set to none of them (target_lang in tokenizer_config.json is {usual!r}); choose one (--language {known[0]})")  # fmt: skip  # noqa: E501
            return usual if known else None
        found = tags_of(self.language, known)
        if len(found) > 1:
            raise CheckpointError(f"{self.name}: has {self.language!r} as {', '.join(found)}; choose one of them (--language {found[0]})")  # fmt: skip  # noqa: E501
        if known and not found:
            raise CheckpointError(f"{self.name}: lacks the language {self.language!r} among its {len(known)} ({self._similar(known)}); for a new one leave it out, and train new adapters and a new head (--attention-adapters new)")  # fmt: skip  # noqa: E501
        return found[0] if found else None

    def _similar(self, known: Sequence[str]) -> str:
        """The tags that are most like the language that was asked for."""
        near = difflib.get_close_matches(self.language.casefold(), known, n=5, cutoff=0.5)
        near += tags_of(similar_language(self.language) or "", known)
        return f"closest: {', '.join(dict.fromkeys(near))}" if near else f"for instance {', '.join(known[:5])}"

    def read(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """The configuration and the float32 state dict, named as `transformers` has them in a model with a head.

        An adapter of PEFT is merged into the weights, and those of the language that was asked for are put in place.

        Raises:
            CheckpointError: files are missing, damaged or of a kind that is not read.
        """
        config, state = self.base.read() if self.base else self._read_model()
        if self.has_adapter:
            from speechxfer.encoders.merging import with_adapter

            config, state = with_adapter(self.folder, config, state)
        return config | self._preprocessing() | self._generation(), state

    def _read_model(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        config = read_json(self.folder / "config.json")
        if "model_type" not in config and (found := self._of_another_tool(config)):
            return found
        family = family_of(self.name, config)
        _check(self.folder / "config.json", config)
        # The weights are float32 from here on.
        config = {key: value for key, value in config.items() if key not in ("dtype", "torch_dtype")}
        if not self.has_weights:
            from speechxfer.encoders.outline import weight_shapes

            return config, family.named(weight_shapes(self.name, config | self._size_of_vocabulary()))
        state = family.named(read_weights(self.folder))
        if self.language and self.language_tag and family.languages:
            config, state = resolve(family.languages.opens)(self, config, state)
        return config, state

    def _size_of_vocabulary(self) -> dict[str, int]:
        """The setting of `config.json` that is another one for the language that was asked for."""
        tag = self.language_tag if self.language else None
        return {"vocab_size": max(self.settings(VOCABULARY)[tag].values()) + 1} if tag else {}

    def _of_another_tool(self, config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        """What the reader of a family finds in a folder that another tool than `transformers` wrote."""
        import torch

        readers = (resolve(name) for family in FAMILIES.values() for name in family.readers)
        found = next((found for read in readers if (found := read(self.folder, config))), None)
        device = torch.get_default_device()
        return found and (found[0], {name: tensor.to(device) for name, tensor in found[1].items()})

    def _preprocessing(self) -> dict[str, Any]:
        """What belongs to the model but is kept beside it: whether waveforms are normalized.

        Raises:
            CheckpointError: the model listens to another sample rate.
        """
        found: dict[str, Any] = {}
        for path, values in self.feature_extractors():
            if values.get("sampling_rate") not in (None, _SAMPLE_RATE):
                raise CheckpointError(f"{path}: the model listens to audio at {values['sampling_rate']} Hz, which is not supported; wanted {_SAMPLE_RATE}")  # fmt: skip  # noqa: E501
            if values.get("do_normalize") is not None:
                found["do_normalize"] = values["do_normalize"]
        return found

    def _generation(self) -> dict[str, Any]:
        """Which tokens a decoder never writes, and which heads of attention know when a word was said.

        Where there is a `generation_config.json`, what it lacks does not hold, whatever `config.json` says.
        """
        values = self.settings("generation_config.json")
        if not values:
            return {}
        found = {name: values.get(name) or [] for name in ("suppress_tokens", "begin_suppress_tokens")}
        return found | {name: values[name] for name in ("alignment_heads",) if values.get(name)}


def _check(path: Path, config: dict[str, Any]) -> None:
    """Look whether a configuration stands for classes of `transformers` with plain weights."""
    if config.get("auto_map"):
        raise CheckpointError(f"{path}: the model brings code of its own (auto_map), which is never run; wanted a model whose classes are those of transformers")  # fmt: skip  # noqa: E501
    if config.get("quantization_config"):
        raise CheckpointError(f"{path}: the weights are quantized (quantization_config), which is not supported; wanted the original ones")  # fmt: skip  # noqa: E501


def find(
    name: str, revision: str | None = None, *, language: str | None = None, weights: bool = True
) -> Checkpoint:  # fmt: skip
    """Locate a model by folder, name of one that comes with this package, installed package or hub id, in this order.

    Args:
        name: of the model.
        revision: of a hub id: a branch, a tag or a commit; the newest without it.
        language: what is spoken, by a tag, code or English name; only of a model that has weights for each of several
            languages does it choose some.
        weights: whether those of a hub id are fetched; without them, it can be opened on the device "meta" only.

    Raises:
        CheckpointError: it is nowhere, lacks the language, or the hub cannot be reached (reported within two seconds).
        ConfigError: a revision of what is no hub id.
    """
    local = _on_this_machine(name, language or "")
    if local is None:
        folder = from_hub(name, _closest(Path(name)), revision, weights=weights)
        found = replace(_in_folder(name, folder, language or ""), has_weights=weights or is_whole(folder))
        if (tag := found.language_tag) and language and found.has_weights:
            one_more_from_hub(name, folder, [file.format(tag) for file in LANGUAGE_WEIGHTS])
        return found
    if revision is not None:
        raise ConfigError(f"revision is {revision!r}, but {name} is at {local.folder}, and only models of the hub have revisions; leave it out")  # fmt: skip  # noqa: E501
    _ = local.language_tag  # whether it has it
    return local


def _on_this_machine(name: str, language: str) -> Checkpoint | None:
    """The model of a folder or a package; None where the name can only be a hub id."""
    path = Path(name).expanduser()
    if path.is_dir():
        return _in_folder(name, path, language)
    if path.exists():
        raise CheckpointError(f"{name}: is a file; wanted the folder that holds config.json and the weights")
    if path.name == name and (SHIPPED / name / "config.json").is_file():
        return Checkpoint(name, SHIPPED / name, language=language)
    if folder := _in_package(name):
        return Checkpoint(name, folder, language=language)
    if _looks_like_a_path(name):
        raise CheckpointError(f"{name}: no such folder{_closest(path)}; a model is a folder, a package or a hub id")
    return None


def _in_folder(name: str, folder: Path, language: str) -> Checkpoint:
    if any((folder / file).is_file() for file in (MODEL_FILE, "config.json")):
        return Checkpoint(name, folder, language=language)
    if (folder / ADAPTER_FILE).is_file():
        return Checkpoint(name, folder, _base_of(name, folder, language), language)
    if (folder / EXPORTED_FILE).is_file():
        raise CheckpointError(f"{name}: is an exported model, which transcribes and classifies, but is not trained or exported further; wanted the model it was made from")  # fmt: skip  # noqa: E501
    files = (MODEL_FILE, "config.json", ADAPTER_FILE)
    inside = [item for item in folder.iterdir() if any((item / file).is_file() for file in files)]
    latest = max(inside, key=lambda item: (len(item.name), item.name), default=None)
    hint = f"; did you mean {latest}?" if latest else ""
    raise CheckpointError(f"{name}: this folder holds no config.json, so it is not a model{hint}")


def _base_of(name: str, folder: Path, language: str) -> Checkpoint:
    """The model that an adapter belongs to, by the name that PEFT wrote down; of a folder, also beside the adapter."""
    path = folder / ADAPTER_FILE
    base = read_json(path).get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise CheckpointError(f"{path}: does not name the model it belongs to; set base_model_name_or_path to its folder or hub id")  # fmt: skip  # noqa: E501
    places = [folder / base, folder.parent / base]
    if PureWindowsPath(base).root:  # of another machine
        places.append(folder.parent / PureWindowsPath(base).name)
    beside = next((place for place in places if place.is_dir()), None)
    where = str(beside) if beside and not Path(base).expanduser().is_dir() else base
    if Path(where).expanduser().resolve() == folder.resolve():
        raise CheckpointError(f"{path}: names its own folder as the model it belongs to, but there is no config.json; set base_model_name_or_path to the model's folder or hub id")  # fmt: skip  # noqa: E501
    try:
        return find(where, language=language)
    except CheckpointError as error:
        raise CheckpointError(f"{name}: is an adapter of {base}, which is not found ({error}); set base_model_name_or_path in {path} to where it is") from error  # fmt: skip  # noqa: E501


def _looks_like_a_path(name: str) -> bool:
    parent = Path(name).expanduser().parent
    is_hub_id = re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name) and not name.startswith(".")
    return not is_hub_id or (parent != Path() and parent.is_dir())


def _closest(path: Path) -> str:
    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.is_dir()]
    except OSError:
        return ""
    near = difflib.get_close_matches(path.name, names, n=1)
    return f" (did you mean {path.parent / near[0]}?)" if near else ""


def _in_package(name: str) -> Path | None:
    """The folder with the weights in an installed distribution of this name."""
    import importlib.metadata  # late, as in the register: exported models do not need it

    try:
        distribution = importlib.metadata.distribution(name)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return None
    files = distribution.files or []
    for weights in ("model.bin", "model.safetensors"):
        for file in files:
            folder = Path(str(distribution.locate_file(file))).parent
            if file.name == weights and (folder / "config.json").is_file():
                return folder
    raise CheckpointError(f"{name}: this installed package carries no model (no config.json beside weights)")

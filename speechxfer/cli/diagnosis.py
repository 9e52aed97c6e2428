"""What `speechxfer doctor` looks at."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

from speechxfer.extras import EXTRAS, is_installed

#: Dependencies that are checked by more than their presence.
_CHECKED_APART = ("torch", "soundfile", "av")
#: What an extra is for.
_PURPOSES = {
    "beam": "beam search",
    "evaluate": "error rates, and tuning of exported models",
    "media": "mp3, m4a, opus and films",
    "microphone": "a microphone as the input of listen",
    "serve": "the server",
    "train": "training and all that needs torch",
    "parquet": "recordings and manifests in Parquet files",
    "ray": "archives on the workers of a cluster",
    "remote": "recordings and manifests behind URLs",
}


@dataclass(frozen=True)
class Check:
    """One thing looked at; `remedy` says what to do about it, if anything."""

    name: str
    good: bool
    found: str
    remedy: str = ""


def examine() -> list[Check]:
    """All checks, in the order a missing piece would be noticed."""
    return [
        _python(),
        *(_package(name) for name in _dependencies() if name not in _CHECKED_APART),
        _soundfile(),
        *(check for extra in EXTRAS for check in _extra(extra)),
        _ffmpeg(),
        _gpu(),
        _memory(),
        _disk(),
    ]


def _python() -> Check:
    version = platform.python_version()
    good = tuple(map(int, platform.python_version_tuple()[:2])) >= (3, 11)
    return Check("python", good, version, "" if good else "wanted 3.11 or newer")


def _extra(extra: str) -> Iterator[Check]:
    """The packages of an extra that is installed; it is where the first of them is."""
    first, *others = EXTRAS[extra]
    install = f"python -m pip install 'speechxfer[{extra}]'"
    if not is_installed(first):
        yield Check(f"[{extra}]", True, f"not installed; for {_PURPOSES[extra]}", install)
        return
    yield _av() if first == "av" else _package(first, install)
    if first == "torch":
        yield _torchaudio()
    yield from (_package(name.replace("_", "-"), install) for name in others)


def _torchaudio() -> Check:
    """It is not needed here, but `transformers` imports it wherever it is installed."""
    version = _version("torchaudio")
    if version is None:
        return Check("torchaudio", True, "not installed; not needed")
    try:
        importlib.import_module("torchaudio")
    except Exception as error:  # a torch of another release or CUDA shows as OSError, ImportError or RuntimeError
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        remedy = "other programs that use transformers may fail here: python -m pip uninstall torchaudio"
        return Check("torchaudio", True, f"{version} does not import ({reason}); not needed", remedy)
    return Check("torchaudio", True, version)


def _dependencies() -> list[str]:
    """Names of the packages that this one cannot do without."""
    requirements = importlib.metadata.requires("speechxfer") or []
    needed = [requirement for requirement in requirements if "extra ==" not in requirement]
    return [re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0] for requirement in needed]


def _package(name: str, install: str = "") -> Check:
    version = _version(name)
    remedy = "" if version else install or f"python -m pip install {name}"
    return Check(name, version is not None, version or "not installed", remedy)


def _soundfile() -> Check:
    try:
        import soundfile
    except (ImportError, OSError) as error:
        return Check("soundfile", False, str(error), "python -m pip install --force-reinstall soundfile")
    return Check("soundfile", True, f"{soundfile.__version__}, {soundfile.__libsndfile_version__}")


def _av() -> Check:
    try:
        import av
    except (ImportError, OSError) as error:
        return Check("av", False, str(error), "python -m pip install --force-reinstall av")
    return Check("av", True, f"{av.__version__}, libavcodec {'.'.join(map(str, av.library_versions['libavcodec']))}")


def _ffmpeg() -> Check:
    program = shutil.which("ffmpeg")
    return Check("ffmpeg", True, program or "no program of that name; not needed, av brings its own")


def _gpu() -> Check:
    if not is_installed("torch"):
        return Check("gpu", True, "unknown without torch; exported models run on the CPU")
    import torch

    if not torch.cuda.is_available():
        return Check("gpu", True, f"none that torch can use; {torch.get_num_threads()} CPU threads")
    names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return Check("gpu", True, f"{', '.join(names)}; CUDA {torch.version.cuda}")


def _memory() -> Check:
    size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    remedy = "" if size >= 4 else "4 GB or more are needed to train, 2 GB to transcribe"
    return Check("memory", size >= 2, f"{size:.1f} GB", remedy)


def _disk() -> Check:
    free = shutil.disk_usage(".").free / 2**30
    remedy = "" if free >= 1 else "a run keeps about 200 MB for a small model; free some space"
    return Check("disk", free >= 1, f"{free:.1f} GB free here", remedy)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None

"""Models open and transcribe where torchaudio is missing, and where it is there but does not import."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

#: Each starts a process, which has to import everything once more.
pytestmark = pytest.mark.slow

_TRANSCRIBE = """
import sys
import numpy as np
import speechxfer as sx
from speechxfer.encoders.checkpoints import find
from speechxfer.opening import open_checkpoint

sound = np.sin(np.arange(16_000) / 9).astype("float32")
text = sx.SpeechModel.load(sys.argv[1]).transcribe(sound, sample_rate=16_000).text
open_checkpoint(find("wav2vec2-nano"))
from transformers.utils import is_torchaudio_available
print(isinstance(text, str), is_torchaudio_available(), "torchaudio" in sys.modules)
"""


def _python(code: str, *arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | ({"PYTHONPATH": str(path)} if path else {})
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def broken_torchaudio(tmp_path: Path) -> Path:
    """A folder for the module path, with a torchaudio that was built for another torch."""
    package = tmp_path / "torchaudio"
    package.mkdir()
    (package / "__init__.py").write_text('raise OSError("libtorchaudio.so: undefined symbol")\n')
    return tmp_path


def test_a_torchaudio_that_does_not_import_is_not_used(broken_torchaudio: Path, spelling_whisper: Path) -> None:
    done = _python(_TRANSCRIBE, str(spelling_whisper), path=broken_torchaudio)
    assert done.stdout.split() == ["True", "False", "False"], done.stderr


def test_transformers_alone_fails_beside_it(broken_torchaudio: Path) -> None:
    """What this is for; where this fails, `without_torchaudio.py` can go."""
    done = _python("from transformers.models.whisper.modeling_whisper import WhisperModel", path=broken_torchaudio)
    assert "undefined symbol" in done.stderr


def test_a_missing_torchaudio_is_not_missed(spelling_whisper: Path) -> None:
    done = _python("import sys; sys.modules['torchaudio'] = None" + _TRANSCRIBE, str(spelling_whisper))
    assert done.stdout.split() == ["True", "False", "True"], done.stderr

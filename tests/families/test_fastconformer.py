from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
import transformers
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

import speechxfer as sx
from speechxfer.cli import main
from speechxfer.config import AugmentConfig
from speechxfer.data.augment import distortion
from speechxfer.encoders import restore_encoder
from speechxfer.encoders.checkpoints import find
from speechxfer.encoders.few_at_once import _AT_ONCE_S
from speechxfer.errors import CheckpointError
from speechxfer.families.fastconformer.attention import RelativeAttention, relative_positions
from speechxfer.heads.ctc.head import CTCHead
from speechxfer.opening import open_checkpoint
from tests.families.tiny import Tiny, noise
from tests.families.tiny_fastconformer import ENCODER, MODELS, tiny

TINY = {model.name: model for model in MODELS}
WAVEFORMS = [noise(20_123, 1), noise(9_000, 2), noise(31_000, 3)]
TOLERANCE = 1e-4
EXTRACTORS = {
    "parakeet-ctc": transformers.ParakeetFeatureExtractor,
    "nemotron-streaming": transformers.NemotronAsrStreamingFeatureExtractor,
    "medasr": transformers.LasrFeatureExtractor,
}
Saved = Callable[[str], Path]
# Of the reference, about zeros that torch adds to an even kernel.
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """The folder of a tiny model, made once."""
    folders: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in folders:
            folders[name] = tmp_path_factory.mktemp(name)
            TINY[name].save(TINY[name].build(), folders[name])
        return folders[name]

    return folder


def encoder(folder: Path) -> Any:
    return open_checkpoint(find(str(folder))).encoder.eval()


@functools.cache
def untrained(name: str) -> Any:
    config = TINY[name].build().config.encoder_config
    return restore_encoder({"family": config.model_type, "config": config.to_dict(), "options": {}})


def change(folder: Path, name: str, **values: Any) -> None:
    """Change values in a JSON file of a folder."""
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def copy_of(folder: Path, target: Path) -> Path:
    target.mkdir()
    for file in folder.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    return target


@pytest.mark.parametrize("name", EXTRACTORS)
def test_spectrograms_are_those_of_the_library(name: str, saved: Saved) -> None:
    ours = encoder(saved(name))
    extractor = EXTRACTORS[name](feature_size=ours.mel_bands)
    inputs = extractor(WAVEFORMS, sampling_rate=16_000, return_attention_mask=True, return_tensors="pt")
    batch, num_samples = ours.collate(WAVEFORMS)
    steps = ours.num_steps(num_samples)
    assert steps.tolist() == inputs["attention_mask"].sum(-1).tolist()
    found = ours._log_mel(batch, num_samples, None)
    for row, expected, count in zip(found, inputs["input_features"], steps.tolist(), strict=True):
        torch.testing.assert_close(row[:count], expected[:count], atol=TOLERANCE, rtol=TOLERANCE)


@given(st.integers(0, 60_000))
@settings(max_examples=60)
@pytest.mark.parametrize("name", EXTRACTORS)
def test_frames_are_as_many_as_the_convolutions_give(name: str, num_samples: int) -> None:
    ours = untrained(name)
    steps = ours.num_steps(num_samples)
    hidden = ours._subsampled(torch.zeros(1, max(steps, 1), ours.mel_bands), torch.tensor([steps]))
    assert hidden.shape[1] == max(ours.num_frames(num_samples), 1)
    assert ours.num_frames(torch.tensor([num_samples])).tolist() == [ours.num_frames(num_samples)]


def test_a_loud_neighbor_changes_nothing_in_silence(saved: Saved) -> None:
    """Bands that never change have no deviation to be divided by."""
    ours = encoder(saved("parakeet-ctc"))
    silence = noise(9_000) * 0.0
    (alone, _), (together, _) = (ours.frontend(*ours.collate(rows)) for rows in ([silence], [silence, WAVEFORMS[2]]))
    assert torch.isfinite(alone).all()
    assert (alone[0] - together[0, : alone.shape[1]]).abs().max() < TOLERANCE


@pytest.mark.parametrize("at_once_s", [0.0, 2.5, 100.0])
@pytest.mark.parametrize("name", EXTRACTORS)
def test_how_many_utterances_are_convolved_at_once_changes_nothing(
    name: str, at_once_s: float, saved: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = encoder(saved(name))
    waveforms = [*WAVEFORMS, noise(7), noise(1_700)]
    with torch.no_grad():
        alone = [ours.frontend(*ours.collate([waveform]))[0][0] for waveform in waveforms]
        monkeypatch.setitem(_AT_ONCE_S, "cpu", at_once_s)
        together, num_frames = ours.frontend(*ours.collate(waveforms))
    for row, own, count in zip(together, alone, num_frames.tolist(), strict=True):
        assert (row[:count] - own[:count]).abs().max() < TOLERANCE if count else torch.isfinite(row).all()


@pytest.mark.parametrize("name", EXTRACTORS)
def test_what_is_done_to_a_spectrogram_does_not_depend_on_neighbors(name: str, saved: Saved) -> None:
    ours = encoder(saved(name))
    config = AugmentConfig(where="spectrogram", mask_time_prob=0.2, mask_feature_prob=0.3, frequency_warp=0.2)

    def hidden(chosen: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        batch, num_samples = ours.collate([WAVEFORMS[index] for index in chosen])
        seeds = [(1, index) for index in chosen]
        return ours.frontend(batch, num_samples, distortion(seeds, ours.num_steps(num_samples), ours.mel_bands, config))

    with torch.no_grad():
        together, num_frames = hidden([0, 1, 2])
        for row, count in enumerate(num_frames.tolist()):
            assert (hidden([row])[0][0, :count] - together[row, :count]).abs().max() < TOLERANCE
        plain, _ = ours.frontend(*ours.collate(WAVEFORMS))
        assert (plain - together).abs().max() > 100 * TOLERANCE


def test_pooled_frames_are_as_far_apart_as_they_were() -> None:
    far, near = relative_positions(torch.zeros(1, 10, 8), 3), relative_positions(torch.zeros(1, 28, 8), 1)
    torch.testing.assert_close(far, near[:, ::3])


def test_the_attention_is_that_of_the_original() -> None:
    config = transformers.ParakeetEncoderConfig(**ENCODER)
    original = transformers.ParakeetEncoder(config).eval().layers[0].self_attn
    for parameter in original.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    for size in (1, 2, 13):
        states, positions = torch.randn(2, size, 32), relative_positions(torch.zeros(2, size, 32), 1)
        with torch.no_grad():
            expected, _ = original(states, positions.expand(2, -1, -1), None)
            found, _ = RelativeAttention.forward(original, states, positions)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["parakeet-ctc", "nemotron-streaming", "medasr"])
@pytest.mark.parametrize("at", [0, 1])
def test_pooled_utterances_do_not_depend_on_neighbors(name: str, at: int, saved: Saved) -> None:
    ours = encoder(saved(name))
    ours.set_pooling(at, 2)
    with torch.no_grad():
        together, num_frames = ours(*ours.collate(WAVEFORMS))
        for row, waveform, count in zip(together, WAVEFORMS, num_frames.tolist(), strict=True):
            alone, own = ours(*ours.collate([waveform]))
            assert own.item() == count
            assert (row[:count] - alone[0]).abs().max() < TOLERANCE


def test_scales_of_norms_over_batches_are_trained_and_their_statistics_are_not(saved: Saved) -> None:
    ours = encoder(saved("parakeet-ctc"))
    ours.freeze(ours.layer_groups()[:2])
    torch.nn.Sequential(ours).train()
    norms = [layer.conv.norm for layer in ours.modules_.layers]
    before = [norm.running_mean.clone() for norm in norms]
    ours(*ours.collate(WAVEFORMS))[0].square().sum().backward()
    assert [norm.weight.grad is not None for norm in norms] == [False, True, True]
    assert all(torch.equal(norm.running_mean, mean) for norm, mean in zip(norms, before, strict=True))
    assert not any(norm.training for norm in norms)


def test_a_streaming_frame_sees_to_the_end_of_its_chunk(saved: Saved) -> None:
    """Four frames are a chunk; with its lookahead none is changed by what follows it."""
    ours = encoder(saved("nemotron-streaming"))
    with torch.no_grad():
        states, num_frames = ours.frontend(*ours.collate([WAVEFORMS[0]]))
        other = states.clone()
        other[:, 9] += torch.randn(ours.width)  # of the third chunk
        moved = ours.run(states, num_frames, 0, ours.depth) - ours.run(other, num_frames, 0, ours.depth)
    changed = (moved[0].abs().amax(-1) > 1e-6).tolist()
    assert changed[:8] == [False] * 8
    assert all(changed[8:12])


@pytest.mark.parametrize(
    ("name", "decoder"),
    [
        ("parakeet-tdt", "transducer decoder (RNN-T or TDT)"),
        ("nemotron-streaming", "transducer decoder (RNN-T or TDT)"),
        ("canary", "attention decoder"),
    ],
)
def test_an_encoder_below_another_decoder_opens_and_says_so(name: str, decoder: str, saved: Saved) -> None:
    opened = open_checkpoint(find(str(saved(name))))
    assert opened.head is None
    assert opened.problem == f"{saved(name)}: its {decoder} is not supported"
    assert opened.encoder.depth == 3
    with pytest.raises(CheckpointError, match="its encoder can be adapted with speechxfer finetune"):
        sx.load(str(saved(name)), device="cpu")


@pytest.mark.parametrize("name", ["parakeet-ctc", "medasr"])
def test_an_encoder_alone_opens(name: str, tmp_path: Path) -> None:
    whole = TINY[name].build()
    whole.encoder.save_pretrained(tmp_path)
    opened = open_checkpoint(find(str(tmp_path)))
    assert opened.head is None
    assert opened.problem is None
    theirs = whole.encoder.state_dict()
    assert all(torch.equal(value, theirs[key]) for key, value in opened.encoder.modules_.state_dict().items())  # type: ignore[operator, union-attr]


def test_names_of_nemos_layout_are_understood(tmp_path: Path, saved: Saved) -> None:
    """As in the published checkpoint of Cohere Transcribe."""
    folder = copy_of(saved("canary"), tmp_path / "nemo")
    change(folder, "config.json", model_type="cohere_asr")
    state = load_file(folder / "model.safetensors")
    names = {
        r"^model\.": "", r"encoder\.subsampling\.layers": "encoder.pre_encode.conv",
        r"encoder\.subsampling\.linear": "encoder.pre_encode.out", r"^(encoder.*)\.([qkv])_proj": r"\1.linear_\2",
        r"^(encoder.*)\.o_proj": r"\1.linear_out", r"\.relative_k_proj": ".linear_pos",
        r"\.bias_([uv])$": r".pos_bias_\1", r"\.conv\.norm\.": ".conv.batch_norm.",
    }  # fmt: skip
    old = dict(state)
    for new, nemo in names.items():
        state = {re.sub(new, nemo, key): value for key, value in state.items()}
    assert not any("subsampling" in key or "relative_k" in key for key in state)
    save_file(state, folder / "model.safetensors")
    found = encoder(folder).modules_.state_dict()
    assert all(torch.equal(value, old[f"model.encoder.{key}"]) for key, value in found.items())


def published(folder: Path, tiny: Tiny, tokens: list[str]) -> Any:
    """A folder with a CTC head and a vocabulary, and the original."""
    model = tiny.build()
    tiny.save(model, folder)
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    return model


@pytest.mark.parametrize(
    ("name", "tokens"),
    [
        ("parakeet-ctc", ["<unk>", "|", "a", "b", "c", "d", "e", "f", "<pad>"]),
        ("medasr", ["<pad>", "<unk>", "|", "a", "b", "c", "d", "e", "f"]),
    ],
)
def test_a_checkpoints_own_ctc_head_gives_the_same_logits(name: str, tokens: list[str], tmp_path: Path) -> None:
    original = published(tmp_path, TINY[name], tokens)
    opened = open_checkpoint(find(str(tmp_path)))
    assert isinstance(opened.head, CTCHead), opened.problem
    rows = [
        tokens.index("<pad>"),
        *(tokens.index("|" if one == " " else one) for one in opened.head.vocabulary.symbols),
    ]
    extractor = EXTRACTORS[name](feature_size=opened.encoder.mel_bands)
    inputs = extractor(WAVEFORMS[0], sampling_rate=16_000, return_tensors="pt")
    with torch.inference_mode():
        expected = original(**inputs).logits[0][:, rows]
        found = opened.head.logits(opened.encoder.eval()(*opened.encoder.collate([WAVEFORMS[0]]))[0][0])
    torch.testing.assert_close(found, expected[: len(found)], atol=TOLERANCE, rtol=TOLERANCE)


def test_pieces_of_a_published_checkpoint_are_written_as_transformers_writes_them(tmp_path: Path) -> None:
    pieces = Tokenizer(BPE(unk_token="<unk>"))
    pieces.pre_tokenizer, pieces.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()  # type: ignore[assignment]
    pieces.train_from_iterator(["hello the cat", "the hat"] * 3, BpeTrainer(vocab_size=30, special_tokens=["<unk>"]))
    tokenizer = transformers.ParakeetTokenizer(tokenizer_object=pieces, unk_token="<unk>", pad_token="<pad>")
    original = tiny("", "Parakeet", "ForCTC", (0, 0), vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id)
    original.build().save_pretrained(tmp_path / "theirs")
    processor = transformers.ParakeetProcessor(transformers.ParakeetFeatureExtractor(), tokenizer)
    processor.save_pretrained(tmp_path / "theirs")
    model = sx.load(str(tmp_path / "theirs"), device="cpu")
    model.save(tmp_path / "ours")
    for waveform in WAVEFORMS:
        text = model.recognize([waveform])[0].text
        assert len(set(text)) > 2
        assert [written(tmp_path / name, waveform) for name in ("theirs", "ours")] == [text, text]


def written(folder: Path, waveform: np.ndarray) -> str:
    """What `transformers` writes by the files of a folder; its pipeline reads padded frames as well."""
    processor = transformers.AutoProcessor.from_pretrained(folder)
    tokens = transformers.AutoModelForCTC.from_pretrained(folder).eval().generate(**processor(waveform, sampling_rate=16_000))  # fmt: skip  # noqa: E501
    return " ".join(processor.batch_decode(tokens, skip_special_tokens=True)[0].split())


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_an_adapter_of_peft_beside_a_checkpoint_is_merged(saved: Saved, tmp_path: Path) -> None:
    base = transformers.ParakeetForCTC.from_pretrained(saved("parakeet-ctc"))
    adapted = peft.get_peft_model(base, peft.LoraConfig(r=2, target_modules=["q_proj", "linear1"]))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    adapted.save_pretrained(tmp_path)
    change(tmp_path, "adapter_config.json", base_model_name_or_path=str(saved("parakeet-ctc")))
    expected = adapted.merge_and_unload().encoder.state_dict()
    found = encoder(tmp_path).modules_.state_dict()
    assert all(torch.allclose(value, expected[name], atol=1e-6) for name, value in found.items())


# What does not fit


@pytest.mark.parametrize(
    ("file", "values", "seen"),
    [
        ("preprocessor_config.json", {"feature_size": 128}, "feature_size is 128, but .* takes 80"),
        ("preprocessor_config.json", {"preemphasis": 0.0}, "preemphasis is 0.0, but .* takes 0.97"),
        ("preprocessor_config.json", {"sampling_rate": 8000}, "listens to audio at 8000 Hz"),
        ("config.json", {"auto_map": {"AutoModel": "mine.Model"}}, r"code of its own \(auto_map\), which is never run"),
    ],
)
def test_files_that_do_not_fit_are_refused(
    file: str, values: dict[str, Any], seen: str, saved: Saved, tmp_path: Path
) -> None:
    folder = copy_of(saved("parakeet-ctc"), tmp_path / "copy")
    change(folder, file, **values)
    with pytest.raises(CheckpointError, match=seen) as caught:
        open_checkpoint(find(str(folder)))
    assert str(folder / file) in str(caught.value)
    shown = CliRunner().invoke(main, ["models", "show", str(folder)])
    assert shown.exit_code == 1
    assert shown.output == f"Error: {caught.value}\n"

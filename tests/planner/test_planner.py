"""Whole plans of a tiny model: what is measured, chosen and written is what a run then does."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import speechxfer as sx
from speechxfer.cli import main
from speechxfer.config import AugmentConfig, PlanConfig, TrainingConfig
from speechxfer.errors import ConfigError, TrainingError
from speechxfer.heads.ctc.settings import CTCConfig
from speechxfer.planner import planner
from speechxfer.planner.candidates import Candidate, candidates
from speechxfer.planner.halving import Outcome
from speechxfer.planner.page import as_markdown
from speechxfer.planner.planner import chosen, make_plan, promising
from speechxfer.planner.probe import Probe, Row
from speechxfer.planner.trial import Bench
from speechxfer.storage import only_writer


@pytest.fixture
def base(spoken: dict[str, Path], whisper_folder: Path) -> sx.FinetuneConfig:
    return sx.FinetuneConfig(
        model=str(whisper_folder), train=str(spoken["train"]), dev=str(spoken["dev"]), output="run", device="cpu",
        training=TrainingConfig(epochs=2, batch_seconds=4.0),
    )  # fmt: skip


@pytest.fixture
def bench(base: sx.FinetuneConfig, tmp_path: Path) -> Bench:
    train, dev = (sx.Manifest.read(path).with_durations() for path in (base.train, base.dev))
    return Bench(base, train, dev, tmp_path)


def as_preset(base: sx.FinetuneConfig, preset: str) -> sx.FinetuneConfig:
    return replace(base, plan=PlanConfig(preset=preset))


def test_what_is_trained_costs_memory(base: sx.FinetuneConfig, bench: Bench) -> None:
    costs = {name: bench.cost(as_preset(base, name)) for name in ("feature-extraction", "fine-tune-top", "fine-tune")}
    trained, memory = ([getattr(cost, name) for cost in costs.values()] for name in ("trained", "memory"))
    assert trained == sorted(trained)
    assert memory == sorted(memory)
    whole = costs["fine-tune"]
    # Weights; their gradients and two moments; and what the backward pass needs is more than all of that here.
    assert whole.memory > 4 * whole.parameters + 12 * whole.trained
    assert whole.run_s(3) == pytest.approx(whole.once_s + 3 * whole.epoch_s)


def test_a_trial_is_a_run_and_leaves_nothing_but_the_cache(
    base: sx.FinetuneConfig, bench: Bench, tmp_path: Path
) -> None:
    config = as_preset(base, "fine-tune-top")
    first = bench.trial(config, 2)
    folder = tmp_path / "run"
    sx.finetune(config=replace(config, output=str(folder)))
    line = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    assert (first.error, first.loss) == pytest.approx((line["dev_cer"], line["dev_loss"]), rel=1e-3)
    assert (tmp_path / "cache" / "frozen").is_dir()
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.safetensors")}
    assert bench.trial(config, 2).loss == first.loss
    assert kept == {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.safetensors")}
    assert {path.name for path in tmp_path.iterdir()} == {"cache", "corpus", "run"}


def test_a_trial_changes_spectrograms_as_the_run_does(base: sx.FinetuneConfig, bench: Bench, tmp_path: Path) -> None:
    plain = as_preset(base, "fine-tune-top")
    config = replace(plain, augment=AugmentConfig(where="spectrogram", frequency_warp=0.2))
    tried, folder = bench.trial(config, 2), tmp_path / "run"
    sx.finetune(config=replace(config, output=str(folder)))
    line = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    assert (tried.error, tried.loss) == pytest.approx((line["dev_cer"], line["dev_loss"]), rel=1e-3)
    assert tried.loss != bench.trial(plain, 2).loss
    assert bench.cost(config).memory < bench.cost(plain).memory  # nothing is kept


def test_a_trial_that_goes_astray_comes_last(base: sx.FinetuneConfig, bench: Bench) -> None:
    astray = replace(base, plan=PlanConfig(preset="fine-tune", encoder_lr=0.99, head_lr=0.99))
    outcome = bench.trial(replace(astray, training=replace(base.training, max_grad_norm=1e9)), 1)
    assert outcome.loss > bench.trial(as_preset(base, "fine-tune"), 1).loss


def test_variations_stand_behind_what_is_usual() -> None:
    rows = tuple(Row(str(seam), seam, error, {"cer": error}) for seam, error in ((None, 0.8), (0, 0.6), (1, 0.2), (4, 0.3)))  # fmt: skip  # noqa: E501
    probes = {"m": Probe("m", "ctc", 4, 1.0, 1.0, rows)}
    names = [one.name for one in candidates(["m"], ["fine-tune", "lower-layers", "lora"], probes, "ctc", vary=True)]
    assert names[:3] == ["fine-tune", "lower-layers", "lora"]
    assert names[3:5] == ["fine-tune, encoder_lr 0.0001", "fine-tune, encoder_lr 0.0009"]
    assert names[-1] == "lower-layers, drop_top 3"
    assert len(candidates(["m"], ["lora"], probes, "ctc", vary=False)) == 1


def test_models_and_presets_are_compared(base: sx.FinetuneConfig, whisper_folder: Path, tmp_path: Path) -> None:
    twin = tmp_path / "twin"
    twin.symlink_to(whisper_folder)
    models = [str(whisper_folder), str(twin)]
    plan = make_plan(base, models, 120.0, presets=["fine-tune-top", "feature-extraction"], vary=False)
    assert {(Path(one.model).name, one.preset) for one in plan.costs} == {
        (name, preset) for name in (whisper_folder.name, "twin") for preset in ("fine-tune-top", "feature-extraction")
    }
    assert plan.choice == plan.ranking()[0]
    assert plan.spent_s < 120.0
    assert plan.settings()["model"] == plan.choice.model
    errors = {one: outcome.loss for one, outcome in plan.rounds[-1].items()}
    assert errors[plan.choice] == min(errors.values())


def test_what_was_tried_only_for_being_cheap_does_not_win() -> None:
    dear, cheap, other = (Candidate("m", name) for name in ("fine-tune", "feature-extraction", "lora"))
    good, bad = (Outcome(2, error, 1.0, 1.0) for error in (0.1, 0.2))
    assert chosen([{cheap: good}], "fine-tune", 2) == dear
    assert chosen([{cheap: good, other: bad}], "fine-tune", 2) == dear
    assert chosen([{cheap: good, dear: bad}], "fine-tune", 2) == cheap
    # Met in an earlier round and left behind.
    assert chosen([{cheap: good, dear: bad, other: bad}, {cheap: good}], "fine-tune", 2) == cheap
    # The model is the one that did best.
    assert chosen([{cheap: bad, Candidate("n", "lora"): good}], "fine-tune", 2) == Candidate("n", "fine-tune")


def test_short_trials_have_to_be_better_by_more() -> None:
    slow, quick = Candidate("m", "fine-tune"), Candidate("m", "lower-layers")
    outcomes = {slow: Outcome(2, 0.34, 1.3, 1.0), quick: Outcome(2, 0.29, 1.1, 1.0)}
    assert promising(outcomes, "fine-tune", 12) == [slow, quick]
    assert promising(outcomes, "fine-tune", 2) == [quick, slow], "nothing is left to be learned"
    assert promising({**outcomes, quick: Outcome(2, 0.2, 0.8, 1.0)}, "fine-tune", 12) == [quick, slow]


def test_a_plan_that_was_not_tried_says_so(base: sx.FinetuneConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planner, "affordable", lambda names, *_: names[-1:])
    plan = make_plan(base, [base.model], 60.0, presets=["fine-tune", "feature-extraction"], vary=False)
    assert plan.choice.preset == "fine-tune"
    page = as_markdown(plan, "plan.toml", "plan.png")
    assert "Not tried for lack of time, but expected to be the best. A whole run of 2 epochs" in page
    assert page.index("| fine-tune |") < page.index("| feature-extraction |")


def test_a_budget_shorter_than_one_epoch_says_what_fits(base: sx.FinetuneConfig) -> None:
    with pytest.raises(ConfigError, match=r"budget of 0 s is shorter than one epoch: .* (fit|fits).*--budget \d+s"):
        make_plan(base, [base.model], 0.01)


@pytest.fixture
def planning(base: sx.FinetuneConfig) -> list[str]:
    return [
        "--model", base.model, "--train", base.train, "--dev", base.dev, "--set", "training.batch_seconds=4.0",
        "--epochs", "1", "--device", "cpu",
    ]  # fmt: skip


def test_what_plan_writes_finetune_reads(planning: list[str], tmp_path: Path) -> None:
    path = tmp_path / "plans" / "plan.toml"
    only = ["--preset", "fine-tune-top", "--preset", "feature-extraction", "--no-vary", "--budget", "1m"]
    result = CliRunner().invoke(main, ["plan", *planning, *only, "--output", str(path)])
    assert result.exit_code == 0, result.output
    assert {item.name for item in path.parent.iterdir()} == {"plan.toml", "plan.md", "plan.png", "plan.json"}
    written = tomllib.loads(path.read_text())
    assert written["training"] == {"epochs": 1, "batch_seconds": 4.0}
    page = path.with_suffix(".md").read_text()
    assert "case 2, little data, far" in page
    assert written["plan"]["preset"] in page
    files = [*planning[2:6], "--device", "cpu"]
    run = CliRunner().invoke(main, ["finetune", "--plan", str(path), *files, "--output", str(tmp_path / "run")])
    assert run.exit_code == 0, run.output
    assert tomllib.loads((tmp_path / "run" / "config.toml").read_text())["plan"]["preset"] == written["plan"]["preset"]


def test_plan_auto_plans_first_and_resumes_with_the_same_plan(
    planning: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    make = planner.make_plan

    def quick(*arguments: Any, **options: Any) -> Any:
        made.append(arguments)
        return make(*arguments, **{**options, "presets": ("feature-extraction",), "vary": False})

    monkeypatch.setattr(planner, "make_plan", quick)
    arguments = ["finetune", "--plan", "auto", *planning, "--output", str(tmp_path / "run")]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    assert tomllib.loads((tmp_path / "run" / "config.toml").read_text())["plan"]["preset"] == "feature-extraction"
    resumed = CliRunner().invoke(main, [*arguments, "--resume"])
    assert resumed.exit_code == 0, resumed.output
    assert len(made) == 1
    monkeypatch.setenv("WORLD_SIZE", "2")
    several = CliRunner().invoke(main, arguments)
    assert "--plan auto: several processes would plan at once" in several.output


def test_bad_options_are_reported(planning: list[str], classes: Callable[..., Path]) -> None:
    named = CliRunner().invoke(main, ["plan", *planning, "--output", "plan.txt"])
    assert "wanted a name that ends in .toml" in named.output
    unknown = CliRunner().invoke(main, ["plan", *planning, "--preset", "magic", "--output", "plan.toml"])
    assert "preset 'magic' is not known; wanted one of feature-extraction" in unknown.output


def plan(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["plan", *arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--device", "gpu"], "device 'gpu' is not known"),
        (["--epochs", "-1"], "training.epochs is -1"),
        (["--set", "training=3"], "training is a group of settings"),
        (["--set", "plan.train_top=1"], "how the model is transferred is what the plan is to find"),
        (["--set", "model=other"], "give it as --model"),
        (["--head", "seq2seq", "--model", "wav2vec2-nano"], "has no decoder"),
    ],
)
def test_what_no_candidate_could_do_is_reported_before_the_work(
    more: list[str], message: str, planning: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def examining(*_arguments: Any, **_options: Any) -> None:
        raise AssertionError("the work has begun")

    monkeypatch.setattr(planner, "examine", examining)
    arguments = more[-2:] + planning[2:] if "--model" in more else planning
    status, said = plan(*arguments, *more[:2], "--output", str(tmp_path / "new" / "plan.toml"))
    assert status == 2
    assert message in said
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("split", ["--train", "--dev"])
def test_data_that_no_candidate_can_use_is_reported_before_the_work(
    split: str, planning: list[str], corpus: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planner, "examine", None)
    wordless = corpus("wordless", ["a", "b"])
    wordless.write_text(wordless.read_text().replace('"a"', '"..."').replace('"b"', '""'))
    status, said = plan(*planning, split, str(wordless), "--output", str(tmp_path / "new" / "plan.toml"))
    assert (status, "none of its 2 texts holds a" in said) == (1, True), said
    assert not (tmp_path / "new").exists()


def test_one_bad_file_is_left_out_of_a_plan(base: sx.FinetuneConfig) -> None:
    train = Path(base.train)
    (train.parent / "letter.wav").write_text("Dear Sir or Madam, ...")
    bad = [{"audio": "letter.wav", "text": "a"}, {"audio": "letter.wav", "text": "a", "duration": 0.5}]
    bad += [{"audio": "train0.wav", "text": "abc" * 500}, {"audio": "train0.wav"}]
    train.write_text(train.read_text() + "".join(json.dumps(line) + "\n" for line in bad))
    made = make_plan(base, [base.model], 60.0, presets=["feature-extraction"], vary=False)
    assert made.choice.preset == "feature-extraction"
    assert made.last(made.choice) is not None


def test_a_plan_in_which_nothing_is_learned_chooses_nothing(
    base: sx.FinetuneConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bench, "trial", lambda _bench, _config, epochs: Outcome(epochs, math.inf, math.inf, 0.1))
    with pytest.raises(TrainingError, match="no candidate learned anything in its trials"):
        make_plan(base, [base.model], 60.0, presets=["feature-extraction"], vary=False)


def test_a_plan_keeps_what_its_trials_were_given(base: sx.FinetuneConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    given = replace(base, groups={"ctc": CTCConfig(ignore_unknown=True)}, test=base.dev)
    made = make_plan(given, [base.model], 60.0, presets=["feature-extraction"], vary=False)
    settings = made.settings()
    assert settings["ctc"] == {"ignore_unknown": True}
    assert settings["training"] == {"epochs": 2, "batch_seconds": 4.0}
    assert not {"train", "dev", "test", "output", "device"} & settings.keys()


def test_a_setting_that_no_trial_has_is_reported(planning: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sx, "plan", lambda *_arguments, **_options: None)
    status, said = plan(*planning, "--set", "training.patience=3")
    assert (status, said) == (0, "--set training.patience=3: has no effect on a plan; give it to finetune\n")


def test_two_plans_are_not_made_in_one_place_at_once(planning: list[str], tmp_path: Path) -> None:
    with only_writer(tmp_path / ".plan.toml.lock", "it"):
        status, said = plan(*planning, "--output", str(tmp_path / "plan.toml"))
    assert (status, "plan.toml: another process is writing there" in said) == (1, True)
    (tmp_path / "folder.toml").mkdir()
    status, said = plan(*planning, "--output", str(tmp_path / "folder.toml"))
    assert (status, "is a folder; wanted the name of a file" in said) == (2, True)


def test_plan_auto_looks_at_the_folder_first(
    planning: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planner, "make_plan", None)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").touch()
    done = CliRunner().invoke(main, ["finetune", "--plan", "auto", *planning, "--output", str(tmp_path / "run")])
    assert (done.exit_code, "holds another run" in done.output) == (2, True)

"""Whole plans of a tiny model: what is measured, chosen and written is what a run then does."""

from __future__ import annotations

import json
import math
import time
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

import speechxfer as sx
from speechxfer.cli import main
from speechxfer.config import TrainingConfig
from speechxfer.encoders.checkpoints import find
from speechxfer.errors import TrainingError
from speechxfer.heads.ctc.settings import CTCConfig
from speechxfer.planner import planner
from speechxfer.planner.candidates import Candidate, candidates, hastened, variations
from speechxfer.planner.cases import Amount, case_of, expected
from speechxfer.planner.forecast import Point
from speechxfer.planner.page import as_html, write_outcome, write_plan
from speechxfer.planner.planner import make_plan
from speechxfer.planner.racing import Entry, Horizon, Race
from speechxfer.planner.trial import Bench, Trial
from speechxfer.runs import RunFolder
from speechxfer.storage import only_writer
from speechxfer.training.starting_point import starting_point


@pytest.fixture(autouse=True)
def _clock_of_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans of these tests find the same time on a busy machine."""
    monkeypatch.setattr(time, "monotonic", time.process_time)


@pytest.fixture
def base(spoken: dict[str, Path], whisper_folder: Path) -> sx.FinetuneConfig:
    return sx.FinetuneConfig(
        model=str(whisper_folder), train=str(spoken["train"]), dev=str(spoken["dev"]), output="run", device="cpu",
        training=TrainingConfig(epochs=2, batch_seconds=4.0),
    )  # fmt: skip


def test_models_and_presets_are_compared(base: sx.FinetuneConfig, whisper_folder: Path, tmp_path: Path) -> None:
    twin = tmp_path / "twin"
    twin.symlink_to(whisper_folder)
    models = [str(whisper_folder), str(twin)]
    plan = make_plan(base, models, 60.0, presets=["fine-tune-top", "feature-extraction"], vary=False)
    assert {(Path(one.candidate.model).name, one.candidate.preset) for one in plan.entries} == {
        (name, preset) for name in (whisper_folder.name, "twin") for preset in ("fine-tune-top", "feature-extraction")
    }
    tried = [one for one in plan.entries if one.points]
    assert len(tried) == 4
    assert plan.spent_s < 60.0
    assert plan.settings()["model"] == plan.choice.model
    # Those that went on are compared by what is expected of them.
    going = [one.loss.mean for one in tried if one.loss and not one.ruled_out]
    assert going == sorted(going)
    assert all("was expected of" in one.ruled_out for one in tried if one.ruled_out)
    assert plan.prediction is not None
    assert plan.prediction.low <= plan.prediction.value <= plan.prediction.high


def test_variations_begin_where_the_best_stands(base: sx.FinetuneConfig) -> None:
    plan = make_plan(base, [base.model], 60.0, presets=["fine-tune-top"])
    first, *varied = sorted(plan.entries, key=lambda one: one.candidate != Candidate(base.model, "fine-tune-top"))
    assert {"encoder_lr" in one.candidate.changes or one.candidate.batch_seconds for one in varied} == {True}
    assert all(one.points[0] == first.points[0] for one in varied)
    assert len({one.points[-1].loss for one in (first, *varied)}) == len(varied) + 1


@pytest.mark.slow
def test_a_plan_for_a_time_keeps_its_own(base: sx.FinetuneConfig) -> None:
    plan = make_plan(base, [base.model], 8.0, horizon_s=30.0)
    assert plan.spent_s < 8.0 * 1.05
    assert plan.entries[0].points
    assert "from-scratch" not in {one.candidate.preset for one in plan.entries}


def test_a_plan_without_time_says_first_that_nothing_was_tried(base: sx.FinetuneConfig) -> None:
    plan = make_plan(base, [base.model], 0.01)
    assert not plan.was_tried
    assert plan.choice.preset == "fine-tune"
    page = as_html(plan.to_dict(), "plan.toml")
    assert page.index("no time to try anything") < page.index("Planned in")
    assert {one.ruled_out for one in plan.entries} == {"there was no time to try it"}


def test_how_a_prediction_fared_is_on_the_page(base: sx.FinetuneConfig, tmp_path: Path) -> None:
    plan = make_plan(base, [base.model], 60.0, presets=["feature-extraction"], vary=False)
    write_plan(plan, tmp_path / "plan.toml")
    assert plan.prediction is not None
    for error, word in ((plan.prediction.value, "within"), (plan.prediction.low - 0.01, "outside")):
        text = write_outcome(tmp_path / "plan.toml", error)
        assert f"it is {error:.3f}, {word} the interval" in text
        assert text in (tmp_path / "plan.html").read_text()


def test_variations_stand_behind_what_is_usual(base: sx.FinetuneConfig, whisper_folder: Path) -> None:
    names = [one.name for one in candidates(["m"], ["fine-tune", "fine-tune-top"], {"m": 6}, vary=True)]
    assert names == ["fine-tune", "fine-tune-top", "fine-tune-top, train_top 3"]
    assert len(candidates(["m"], ["fine-tune-top"], {"m": 6}, vary=False)) == 1
    plan = starting_point(base, find(base.model), sx.Manifest.read(base.train), sx.Progress()).plan
    usual = replace(base, training=TrainingConfig())
    varied = [one.name for one in variations(Candidate("m", "fine-tune"), usual, plan)]
    assert varied == ["fine-tune, encoder_lr 0.0009", "fine-tune, batch_seconds 10", "fine-tune, encoder_lr 0.0001"]
    # Somebody chose the size of steps.
    assert not any("batch" in one.name for one in variations(Candidate("m", "fine-tune"), base, plan))


def test_runs_of_few_steps_have_higher_rates() -> None:
    names = [hastened(Candidate("m", one), "ctc").name for one in ("fine-tune-top", "lora", "feature-extraction")]
    assert names == ["fine-tune-top, encoder_lr 0.0009", "lora", "feature-extraction"]


def test_cheap_ways_come_first_where_there_is_little_time() -> None:
    case = case_of(Amount(600.0, 200), near=False)
    assert expected(case)[:2] == ["fine-tune", "lower-layers"]
    assert expected(case, soon=True)[:2] == ["fine-tune-top", "fine-tune"]


def test_the_choice_without_trials_follows_from_the_number_of_steps() -> None:
    base, case = sx.FinetuneConfig("m", "train", "dev", "run"), case_of(Amount(600.0, 200), near=False)

    def first(steps: int, duration_s: float) -> str:
        bench: Any = SimpleNamespace(depths={"m": 6}, train=SimpleNamespace(duration_s=duration_s))
        return planner._ordered(bench, base, case, None, steps, vary=True)[0].name

    names = {steps: first(steps, 600.0) for steps in (100, 400, 900)}
    assert names == {100: "fine-tune-top, encoder_lr 0.0009", 400: "fine-tune-top", 900: "fine-tune"}
    # Where each utterance is used once or twice, they need more steps.
    assert {steps: first(steps, 20_000.0) for steps in (900, 2500)} == {900: "fine-tune-top", 2500: "fine-tune"}


def test_there_are_no_trials_in_which_little_would_be_learned(base: sx.FinetuneConfig, tmp_path: Path) -> None:
    bench: Any = SimpleNamespace(dev=sx.Manifest.read(base.dev).with_durations(), step_s=1.0)
    usual = replace(base, training=TrainingConfig())

    def fraction(budget_s: float, horizon_s: float) -> float:
        race = Race(usual, bench, Horizon(20, horizon_s, 3600.0), budget_s, sx.Progress(), lambda: 0.0)
        return race.first_fraction(6)

    assert fraction(60.0, 340.0) == 0.0  # two trials of 32 steps and the fall of the rate take 80 s
    assert fraction(100.0, 560.0) == pytest.approx(32 / 560)
    assert fraction(1000.0, 5600.0) == 0.03


@pytest.fixture
def planning(base: sx.FinetuneConfig) -> list[str]:
    return [
        "--model", base.model, "--train", base.train, "--dev", base.dev, "--set", "training.batch_seconds=4.0",
        "--epochs", "1", "--device", "cpu",
    ]  # fmt: skip


@pytest.mark.slow
def test_what_plan_writes_finetune_reads(planning: list[str], tmp_path: Path) -> None:
    path = tmp_path / "plans" / "plan.toml"
    only = ["--preset", "fine-tune-top", "--preset", "feature-extraction", "--no-vary", "--budget", "1m"]
    result = CliRunner().invoke(main, ["plan", *planning, *only, "--output", str(path)])
    assert result.exit_code == 0, result.output
    assert {item.name for item in path.parent.iterdir()} == {"plan.toml", "plan.html", "plan.json"}
    written = tomllib.loads(path.read_text())
    assert written["training"] == {"epochs": 1, "batch_seconds": 4.0}
    page = path.with_suffix(".html").read_text()
    assert "Textbook" in page
    assert "little data" in page
    assert written["plan"]["preset"] in page
    files = [*planning[2:6], "--device", "cpu"]
    run = CliRunner().invoke(main, ["finetune", "--plan", str(path), *files, "--output", str(tmp_path / "run")])
    assert run.exit_code == 0, run.output
    assert tomllib.loads((tmp_path / "run" / "config.toml").read_text())["plan"]["preset"] == written["plan"]["preset"]


@pytest.mark.slow
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


class Interrupt(sx.Callback):
    """Ctrl-C after some steps.

    Args:
        steps: of this process.
    """

    def __init__(self, steps: int = 3) -> None:
        self.left = steps

    def on_step_end(self, state: sx.TrainingState) -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_a_planned_run_with_a_limit_of_time_goes_on_with_its_plan(
    base: sx.FinetuneConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[float] = []
    make = planner.make_plan

    def smaller_steps(*arguments: Any, **options: Any) -> Any:
        made.append(options["horizon_s"] + arguments[2])
        chosen = Entry(Candidate(base.model, "feature-extraction", batch_seconds=2.0))
        return replace(make(*arguments, **{**options, "presets": ("feature-extraction",)}), entries=(chosen,))

    monkeypatch.setattr(planner, "make_plan", smaller_steps)
    given = {"train": base.train, "dev": base.dev, "output": tmp_path / "run", "device": "cpu", "plan": "auto"}
    with pytest.raises(KeyboardInterrupt):
        sx.finetune(base.model, **given, training={"time": "60s"}, callbacks=[Interrupt()])
    folder = RunFolder(tmp_path / "run")
    config, allotment = folder.config, folder.allotment
    assert config.training.batch_seconds == 2.0
    sx.finetune(base.model, **given, training={"time": "60s"}, resume=True, callbacks=[StopSoon()])
    assert (folder.config, folder.allotment, made) == (config, allotment, [60.0])


@pytest.mark.slow
def test_a_run_goes_on_from_the_trial_of_what_was_chosen(
    base: sx.FinetuneConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans: list[planner.Plan] = []
    make = planner.make_plan

    def kept(*arguments: Any, **options: Any) -> Any:
        plans.append(make(*arguments, **{**options, "presets": ("fine-tune", "feature-extraction"), "vary": False}))
        return plans[-1]

    monkeypatch.setattr(planner, "make_plan", kept)
    given = {"train": base.train, "dev": base.dev, "device": "cpu", "plan": "auto", "training": {"epochs": 8}}
    whole = RunFolder(sx.finetune(base.model, **given, output=tmp_path / "whole").folder)
    beginning = plans[0].beginning
    assert beginning is not None
    assert beginning.step > 0
    first = whole.history[0]
    assert first["epoch"] == beginning.epoch + 1
    assert first["step"] > beginning.step
    # The head has learned already: a run that begins with the pre-trained model has a higher loss.
    alone = {**given, "plan": plans[0].choice.preset, "output": tmp_path / "alone"}
    assert first["loss"] < RunFolder(sx.finetune(base.model, **alone).folder).history[0]["loss"]


@pytest.mark.slow
def test_a_run_that_went_on_from_a_trial_is_resumed_exactly(
    base: sx.FinetuneConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only = {"presets": ["fine-tune"], "vary": False}
    plan = make_plan(replace(base, training=TrainingConfig(epochs=6, batch_seconds=4.0)), [base.model], 60.0, **only)
    monkeypatch.setattr(planner, "make_plan", lambda *_arguments, **_options: plan)
    given = {"train": base.train, "dev": base.dev, "device": "cpu", "plan": "auto", "training": {"epochs": 6}}
    whole = RunFolder(sx.finetune(base.model, **given, output=tmp_path / "whole").folder)
    broken = {**given, "output": tmp_path / "broken"}
    with pytest.raises(KeyboardInterrupt):
        sx.finetune(base.model, **broken, callbacks=[Interrupt(5)])
    sx.finetune(base.model, **broken, resume=True)
    losses = [[line["loss"] for line in one.history] for one in (whole, RunFolder(tmp_path / "broken"))]
    assert losses[0] == losses[1]
    assert plan.beginning is not None
    assert whole.history[0]["step"] > plan.beginning.step


class StopSoon(sx.Callback):
    """Ends a run after a few more steps."""

    def on_step_end(self, state: sx.TrainingState) -> None:
        if state.step >= 6:
            state.stop()


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
    def scoring(*_arguments: Any, **_options: Any) -> None:
        raise AssertionError("the work has begun")

    monkeypatch.setattr(planner, "score", scoring)
    arguments = more[-2:] + planning[2:] if "--model" in more else planning
    status, said = plan(*arguments, *more[:2], "--output", str(tmp_path / "new" / "plan.toml"))
    assert status == 2
    assert message in said
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("split", ["--train", "--dev"])
def test_data_that_no_candidate_can_use_is_reported_before_the_work(
    split: str, planning: list[str], corpus: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planner, "score", None)
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
    assert made.was_tried


def test_a_plan_in_which_nothing_is_learned_chooses_nothing(
    base: sx.FinetuneConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Trial, "measure", lambda _trial, _until: Point(0.1, 10, 0.1, math.inf, math.inf))
    with pytest.raises(TrainingError, match="no candidate learned anything in its trials"):
        make_plan(base, [base.model], 60.0, presets=["feature-extraction"], vary=False)


def test_a_plan_keeps_what_its_trials_were_given(base: sx.FinetuneConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    given = replace(base, groups={"ctc": CTCConfig(ignore_unknown=True)}, test=base.dev)
    made = make_plan(given, [base.model], 60.0, presets=["feature-extraction"], vary=False)
    settings = made.settings()
    assert settings["ctc"] == {"ignore_unknown": True}
    assert settings["training"] == {"epochs": 2, "batch_seconds": 4.0}
    assert not {"train", "dev", "test", "output", "device"} & settings.keys()


def test_little_speech_that_is_used_often_is_also_used_at_other_speeds(base: sx.FinetuneConfig) -> None:
    made = make_plan(base, [base.model], 60.0, presets=["feature-extraction"], vary=False)
    assert made.passes == base.training.epochs
    often, seconds = replace(made, passes=8.0), made.amount.seconds
    assert not replace(made, passes=7.9).at_other_speeds
    assert often.settings()["training"]["speed_copies"] == 2
    assert "two copies at other speeds" in as_html(often.to_dict(), "plan.toml")
    chosen = replace(often, base=replace(often.base, training=replace(often.base.training, speed_copies=1)))
    assert "speed_copies" not in chosen.settings()["training"]  # finetune has it already
    for amount in (Amount(7200.0, 900), Amount(seconds, 20, of_rarest=2)):
        assert not replace(often, amount=amount).at_other_speeds


def test_passes_are_those_of_what_was_chosen(base: sx.FinetuneConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it was tried or not; three quarters of the time are for steps."""

    def passes(step_s: float, below_s: float) -> float:
        return (450.0 - below_s * audio_s) / step_s * base.training.batch_seconds / audio_s

    tried = make_plan(base, [base.model], 60.0, presets=["fine-tune"], vary=False, horizon_s=600.0)
    audio_s, cost = tried.amount.seconds, tried.entries[0].cost
    assert cost
    assert tried.passes == pytest.approx(passes(cost.step_s, cost.below_s))
    monkeypatch.setattr(Bench, "timed", lambda *_: (0.5, 0.01))
    others = make_plan(base, [base.model], 0.01, presets=["fine-tune"], vary=False, horizon_s=600.0)
    assert not others.was_tried
    assert others.passes == pytest.approx(passes(0.5, 0.01))


@pytest.mark.parametrize("preset", ["feature-extraction", "fine-tune"])
def test_a_step_is_timed_without_a_trial(base: sx.FinetuneConfig, preset: str) -> None:
    made = make_plan(base, [base.model], 0.01, presets=[preset], vary=False, horizon_s=600.0)
    assert not made.was_tried
    assert 0 < made.passes < math.inf


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

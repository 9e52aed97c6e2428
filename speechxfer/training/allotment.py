"""What fits into a limit of time: how much of the data a run uses, from what its parts cost when they are tried."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

import torch

from speechxfer.config.durations import in_words
from speechxfer.data.loading import durations_s, read
from speechxfer.data.manifest import Manifest
from speechxfer.errors import ConfigError
from speechxfer.model import SpeechModel
from speechxfer.runs import Allotment
from speechxfer.training.before_after import part
from speechxfer.training.job import Job
from speechxfer.training.starting_point import StartingPoint
from speechxfer.training.time_limit import EPOCHS, PLANNED, given_s
from speechxfer.training.timing import StepTime, steps_of, time_steps

#: Fraction of the time after which no further step is timed.
_MOST_TIMING = 0.02
#: Seconds of dev whose decoding is timed.
_DECODED_S = 20.0
#: Seconds that tuning a language model takes for a second of dev: the search for its weights.
_TUNING_S = 0.4
#: Seconds that the report and loading the best model take.
_PAGES_S = 6.0
#: Most of the time that measuring the pre-trained model, and dev in all epochs, may take.
_MOST_PRETRAINED, _MOST_DEV = 0.15, 0.15
#: Most of the time that the final measurement may take.
_MOST_AFTER = 0.5
#: Utterances of dev that are measured at least; and of test by the pre-trained model, if it is measured at all.
_FEWEST_DEV, _FEWEST_PRETRAINED = 10, 10


class TimeTooShortError(ConfigError):
    """A limit of time in which a run could not do what is asked for."""


def allot(
    job: Job, start: StartingPoint, source: SpeechModel | None, manifests: Mapping[str, Manifest], *,
    has_language_model: bool,
) -> Allotment:  # fmt: skip
    """Time the parts of a run, and divide its time among them; the model is as before.

    Args:
        source: the pre-trained model, where it is to be measured.
        has_language_model: whether one is tuned on dev at the end, and test is then decoded twice.

    Raises:
        TimeTooShortError: for what is asked for.
        DataError: unreadable audio.
    """
    given = given_s(job.config.training)
    start.model.to(job.device)
    first, last = _step_times(job, start, given)
    decode_s = _decoding_s(start.model, manifests["dev"])
    final_s, tuning_s = _final_s(job, manifests["dev"], decode_s, has_language_model=has_language_model)
    steps = len(steps_of(start, job.config.training))
    below_s = last.below * steps / sum(durations_s(start.train, start.model.encoder.max_duration_s))
    pass_s = (last.below + last.above) * steps
    seconds = {name: sum(durations_s(one, start.model.encoder.max_duration_s)) for name, one in manifests.items()}
    tested_s = final_s * (seconds.get("test", 0.0) + seconds.get("retain", 0.0))
    if tested_s > _MOST_AFTER * given:
        raise TimeTooShortError(
            f"training.time is {job.config.training.time!r}, but measuring test takes about {in_words(tested_s)}; "
            "wanted more time, or a smaller test manifest"
        )
    pretrained_s = _decoding_s(source, manifests["dev"]) / final_s * tested_s if source and tested_s else 0.0
    after_s = tested_s * (1 + has_language_model) + _PAGES_S
    left_s = PLANNED * given - (time.monotonic() - job.started) - after_s
    pretrained = _pretrained(pretrained_s, left_s, len(manifests.get("test", ())))
    left_s -= pretrained_s * pretrained
    # Dev is computed below the seam once, and above it after every epoch.
    above_s = max(decode_s - below_s, 0.2 * decode_s)
    dev_s = seconds["dev"] * (below_s + EPOCHS * above_s + tuning_s)
    of_dev = min(1.0, _MOST_DEV * max(left_s, 0.0) / dev_s)
    num_dev = max(min(_FEWEST_DEV, len(manifests["dev"])), int(of_dev * len(manifests["dev"])))
    of_dev = num_dev / len(manifests["dev"])
    left_s -= of_dev * dev_s + EPOCHS * seconds.get("retain", 0.0) * decode_s
    passes = left_s / pass_s
    if passes * steps < 1:
        raise TimeTooShortError(
            f"training.time is {job.config.training.time!r}, but opening the model and the data and measuring take "
            f"{in_words(given - left_s)}; wanted more time{', or --lm none' if has_language_model else ''}"
        )
    each_s = of_dev * seconds["dev"] * above_s + seconds.get("retain", 0.0) * decode_s
    after_s += of_dev * seconds["dev"] * tuning_s
    return Allotment(given, passes, num_dev, pretrained, after_s, each_s, first, last)


def allotted(
    job: Job, start: StartingPoint, source: SpeechModel | None, manifests: Mapping[str, Manifest], *,
    has_language_model: bool, resume: bool,
) -> Allotment | None:  # fmt: skip
    """What the run's limit of time allows, as the main process measures it, or as it did before; None without one.

    Raises:
        TimeTooShortError: for what is asked for.
        DataError: unreadable audio.
        StorageError: it could not be written down.
    """
    if not job.config.training.time:
        return None
    found = job.folder.allotment if resume else None
    if found is None and job.world.is_main:
        found = allot(job, start, source, manifests, has_language_model=has_language_model)
        job.folder.write(found)
    if found is not None:
        found = replace(found, given_s=given_s(job.config.training))  # a run that is resumed may get more
    return job.world.gather({job.world.rank: found})[0]


def used(job: Job, manifests: Mapping[str, Manifest], allotment: Allotment | None) -> dict[str, Manifest]:
    """The splits as far as they are used, at even distances; what is left out is reported."""
    if allotment is None:
        return dict(manifests)
    dev = manifests["dev"]
    if allotment.passes < 1:
        job.progress.log(
            f"time: {in_words(allotment.given_s)} are enough for about {allotment.passes:.0%} of the training set, drawn from all of it"  # noqa: E501
        )
    if allotment.dev < len(dev):
        job.progress.log(f"time: {allotment.dev:,} of {len(dev):,} utterances of dev are measured after each epoch")
    if not allotment.pretrained:
        job.progress.log(f"time: the pre-trained model is not measured; `speechxfer evaluate {job.config.model}` does it")  # fmt: skip  # noqa: E501
    elif "test" in manifests and allotment.pretrained < 1:
        count = len(part(manifests["test"], allotment.pretrained))
        job.progress.log(f"time: the pre-trained model is measured on {count:,} of {len(manifests['test']):,} utterances of test")  # fmt: skip  # noqa: E501
    return {**manifests, "dev": dev.spread(allotment.dev)}


def _pretrained(pretrained_s: float, left_s: float, num_test: int) -> float:
    """The fraction of test and retain that the pre-trained model has time for; 0 where it is of too few utterances.

    Args:
        pretrained_s: what all of both takes.
        left_s: of the time, for this and for training.
        num_test: utterances of test.
    """
    fraction = min(1.0, _MOST_PRETRAINED * max(left_s, 0.0) / max(pretrained_s, 1e-6))
    return fraction if fraction * num_test >= min(_FEWEST_PRETRAINED, num_test) else 0.0


def _final_s(job: Job, dev: Manifest, decode_s: float, *, has_language_model: bool) -> tuple[float, float]:
    """Seconds that the trained model needs for a second of audio: to decode it, and for all that is done with dev.

    Confidences are calibrated on it, and a language model is tuned. A student's are those that its teacher needed.
    """
    tuning_s = decode_s + (decode_s + _TUNING_S) * has_language_model
    if not job.config.unlabeled:
        return decode_s, tuning_s
    teacher = job.folder.teacher
    final_s = max(decode_s, _decoding_s(SpeechModel.load(str(teacher.model), device=job.config.device), dev))
    of_dev = teacher.allotment.dev / len(dev) if teacher.allotment else 1.0
    audio_s = of_dev * sum(one.duration or 0.0 for one in dev.with_durations())
    measured_s = teacher.metrics.get("seconds", {}).get("after", 0.0) / max(audio_s, 1e-6)
    return final_s, max(tuning_s, measured_s) + 2 * final_s  # and both models are compared on it


def _step_times(job: Job, start: StartingPoint, given: float) -> tuple[StepTime, StepTime]:
    """The time of a step, in the first epochs and in the last ones."""
    plan = start.plan
    changes = sorted({epoch for epoch in plan.first_epochs if epoch})
    before = {name: one.detach().clone() for name, one in plan.trained(start.model).items()}
    found = [time_steps(start, job.config, job.precision, epoch, _MOST_TIMING * given) for epoch in (0, *changes[-1:])]
    with torch.no_grad():
        for name, parameter in plan.trained(start.model).items():
            parameter.copy_(before[name])
    plan.apply(start.model, 0)
    start.model.eval()
    return found[0], found[-1]


@torch.inference_mode()
def _decoding_s(model: SpeechModel, dev: Manifest) -> float:
    """Seconds that decoding takes for a second of dev's audio."""
    durations = durations_s(dev, model.encoder.max_duration_s)
    chosen: list[int] = []
    total = 0.0
    for index in range(0, len(dev), max(1, len(dev) // 10)):
        if chosen and total + durations[index] > _DECODED_S:
            break
        chosen.append(index)
        total += durations[index]
    waveforms = [read(dev[index]) for index in chosen]
    begun = time.monotonic()
    model.eval().predict(waveforms)
    return (time.monotonic() - begun) / total

"""Settings that trials do not use, so that a plan does not contain them."""

#: Paths of data and results, and the device.
PLACES = (
    "train", "dev", "test", "retain", "unlabeled", "output", "device", "retention.replay", "training.cache_dir",
)  # fmt: skip
#: Settings that have no effect in trials.
NOT_IN_TRIALS = (
    "test", "retain", "unlabeled", "compare_scratch", "language_model", "retention.replay", "retention.replay_ratio",
    "retention.language", "training.patience", "training.guard", "training.trackers", "training.checkpoint_minutes",
    "training.cache", "training.cache_dir", "training.time", "training.steps_per_epoch", "training.dev_utterances",
    "training.speed_copies", "seq2seq.non_speech_ratio",
)  # fmt: skip

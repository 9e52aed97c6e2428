"""Settings that a plan says nothing of, since no trial has them."""

#: Where data and results are.
PLACES = ("train", "dev", "test", "retain", "output", "device", "retention.replay", "training.cache_dir")
#: What trials do without.
UNTRIED = (
    "test", "retain", "compare_scratch", "retention.replay", "retention.replay_ratio", "retention.language",
    "training.patience", "training.guard", "training.trackers", "training.checkpoint_minutes", "training.cache",
    "training.cache_dir", "training.dev_utterances", "training.speed_copies", "seq2seq.non_speech_ratio",
)  # fmt: skip

"""Settings that were given but change nothing in this run: each is reported, none is ignored in silence."""

from __future__ import annotations

from collections.abc import Iterator

from speechxfer.config import FinetuneConfig, flat, to_dict
from speechxfer.config.maskings import MASKINGS
from speechxfer.training.starting_point import StartingPoint

#: Settings of a group, with the reason why they have no effect.
_Found = Iterator[tuple[str, str]]


def unused(config: FinetuneConfig, start: StartingPoint) -> list[str]:
    """A line for each setting that is not as by default and has no effect on a run with this starting point."""
    given, usual = flat(to_dict(config)), flat(to_dict(FinetuneConfig("m", "t", "d", "o")))
    found = [*_head(config), *_data(config, start), *_augmentation(config, start), *_cache(config, start)]
    found += [*_encoder(config, start), *_plan(config, start)]
    lines = {name: reason for name, reason in found if given.get(name) and given[name] != usual.get(name)}
    return [f"{name} is {given[name]!r}, which has no effect in this run: {reason}" for name, reason in lines.items()]


def _head(config: FinetuneConfig) -> _Found:
    reason = f"the head is {config.head}"
    yield from ((name, reason) for name in config.head_type.ignores)
    own = config.head_type.settings
    for name, group in config.groups.items():
        if own is None or name != own.group:
            for setting in to_dict(group):
                yield f"{name}.{setting}", reason


def _data(config: FinetuneConfig, start: StartingPoint) -> _Found:
    if config.retention.replay is None:
        yield "retention.replay_ratio", "no manifest is replayed (--replay)"
        if config.retain is None:
            yield "retention.language", "there is no manifest to retain or to replay"
    yield from start.model.head.unused_settings(config, start.train)
    if not start.model.language and "language" not in start.model.head.decoding_options:
        yield "language", "only the model card notes it"


def _augmentation(config: FinetuneConfig, start: StartingPoint) -> _Found:
    augment, plan, encoder = config.augment, start.plan, start.model.encoder
    if not augment.mask_time_prob:
        yield "augment.mask_time_length", "augment.mask_time_prob is 0"
    seams = {plan.seam_at(epoch) or 0 for epoch in {0, *(epoch for epoch in plan.first_epochs if epoch is not None)}}
    if augment.where == "seam" and not any(map(encoder.maskable_width, seams)):
        reason = "channels are masked only where the lower half of the layers is frozen"
        yield from ((f"augment.{name}", reason) for name in ("mask_feature_prob", "mask_feature_length_percent"))
    elif not augment.mask_feature_prob:
        yield "augment.mask_feature_length_percent", "augment.mask_feature_prob is 0"
    if not config.training.speed_copies:
        yield "augment.margin_seconds", "there are no copies at other speeds, training.speed_copies is 0"
    own = MASKINGS[augment.masking].settings
    for name, group in augment.groups.items():
        if own is None or name != own.group:
            reason = f"augment.masking is {augment.masking}"
            yield from ((f"augment.{name}.{setting}", reason) for setting in to_dict(group))


def _cache(config: FinetuneConfig, start: StartingPoint) -> _Found:
    cache = config.training.cache
    if cache == "off":
        yield from ((f"training.{name}", "training.cache is off") for name in ("cache_dtype", "cache_dir"))
    elif start.plan.lowest_seam is None:
        yield from ((f"training.{name}", "nothing is frozen") for name in ("cache", "cache_dtype", "cache_dir"))
    elif cache == "memory":
        yield "training.cache_dir", "training.cache is memory"


def _encoder(config: FinetuneConfig, start: StartingPoint) -> _Found:
    if config.pooling.stride == 1:
        yield "pooling.kind", "pooling.stride is 1"
    if any(epoch is not None for epoch in start.plan.first_epochs):
        return
    reason = "no layer of the encoder is trained"
    yield from ((f"plan.{name}", reason) for name in ("layer_decay", "unfreeze_every", "head_only_ratio"))
    yield from ((f"training.{name}", reason) for name in ("compile", "gradient_checkpointing"))
    if not config.head_type.comes_with_checkpoint:
        yield "training.dropout", reason
    if start.plan.adapters is None:
        yield "plan.encoder_lr", reason


def _plan(config: FinetuneConfig, start: StartingPoint) -> _Found:
    plan, head = start.plan, start.model.head
    trained = [place for place, epoch in enumerate(plan.first_epochs) if epoch is not None]
    if trained == [plan.depth]:
        yield "plan.layer_decay", "only the top layer is trained"
    if not any(plan.first_epochs):
        one = config.training.epochs == 1
        yield "plan.head_only_ratio", "the run has one epoch" if one else "the head has learned already"
    if all(group.seam <= plan.head_seam for group in head.layer_groups()):
        yield "plan.head_lr", "the head is not trained"
    if plan.adapters is None:
        yield from ((f"plan.{name}", "there are no adapters (--lora-rank)") for name in ("lora_alpha", "lora_feed_forward"))  # fmt: skip  # noqa: E501

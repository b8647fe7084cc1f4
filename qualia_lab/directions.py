"""Whether more or less of a metric is better, as far as its name tells."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

Direction = Literal["min", "max"]

# Words of metric names in scikit-learn, Keras, Lightning, MLflow's evaluators and LLM logging.
_LESS = frozenset(
    """
    bce bpc bpd brier ce cer cost deviance divergence duration entropy err error errors fid
    hinge kl latency logloss loss losses mad mae mape ms mse msle nll perplexity ppl regret
    rmse rmsle seconds smape time toxicity wer
    """.split()  # noqa: SIM905
)
_MORE = frozenset(
    """
    acc accuracy ap auc auprc auroc bleu correlation dice f1 fbeta hit iou kappa likelihood
    map mcc meteor mrr ndcg pearson precision psnr r2 recall reward roc rouge score
    sensitivity spearman specificity ssim throughput
    """.split()  # noqa: SIM905
)
_NEITHER = frozenset("epoch epochs iteration iterations scale std step steps var".split())  # noqa: SIM905
_TAKES = frozenset("cost duration latency ms rank seconds time".split())  # noqa: SIM905
_HELD_OUT = frozenset("cv eval holdout test val valid validation".split())  # noqa: SIM905
_SQUASHED_LESS = re.compile(r"(loss|error|logloss)(@?\d+)?$")
_SQUASHED_MORE = re.compile(r"(accuracy|precision|recall|score)(@?\d+)?$")


def is_system(metric: str) -> bool:
    """Whether MLflow measured it of the machine, rather than the run of its work."""
    return metric.startswith("system/")


def direction(metric: str) -> Direction | None:
    """``"min"`` where less is better, ``"max"`` where more is, None where the name does not tell.

    The last word that tells decides: ``val_loss`` is a loss, ``error_accuracy`` an accuracy. Before
    it count: scikit-learn's ``neg_...``, which turns an error into a score; ranks; times to
    something. Spreads (``std_...``), epochs, steps, scales and system metrics (``system/...``) are
    neither better nor worse.
    """
    words = _words(metric)
    if is_system(metric) or _NEITHER & set(words):
        return None
    if "neg" in words:
        return "max"
    if "rank" in words or words[:2] == ["time", "to"]:
        return "min"
    for word in reversed(words):
        if word in _LESS or _SQUASHED_LESS.search(word):
            return "min"
        if word in _MORE or _SQUASHED_MORE.search(word):
            return "max"
    return None


def _words(metric: str) -> list[str]:
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", metric).lower()
    return [word for word in re.split(r"[^a-z0-9]+", spaced) if word]


def ranked(metrics: Mapping[str, int]) -> list[str]:
    """Metrics in the order in which they tell runs apart, the most telling first.

    Model metrics stand before system metrics, those whose direction is known before others, what a
    model achieves before what it takes (times, costs) and before ranks, held-out data before
    training data, those that more runs share first; then by name.

    Args:
        metrics: metric -> how many runs logged it.
    """

    def rank(name: str) -> tuple[bool, bool, bool, bool, int, str]:
        words = set(_words(name))
        unknown = direction(name) is None
        takes, held_out = bool(words & _TAKES), bool(words & _HELD_OUT)
        return (is_system(name), unknown, takes, not held_out, -metrics[name], name)

    return sorted(metrics, key=rank)

"""What the spans and scores of calls to models carry, under MLflow's own names.

They are those of ``mlflow/tracing/constant.py`` in MLflow 3.17, spelled out because older versions
do not define them all.
"""

from __future__ import annotations

from typing import Any

from qualia_lab.demo.llm import prices
from qualia_lab.demo.llm.prices import Usage, dollars
from qualia_lab.demo.llm.records import JUDGE_MODEL, Scores


def request(model: str, temperature: float, system: str, user: str) -> dict[str, Any]:
    """The inputs of a call, as chat messages."""
    return {
        "model": model,
        "temperature": temperature,
        "messages": [
            {"role": "system", "content": system},
            {"role": "user", "content": user},
        ],
    }


def response(answer: str) -> dict[str, Any]:
    """The outputs of a call."""
    return {"choices": [{"message": {"role": "assistant", "content": answer}}]}


def model_of(model: str) -> dict[str, Any]:
    """Who was asked."""
    return {"mlflow.llm.model": model, "mlflow.llm.provider": prices.provider(model)}


def usage_of(model: str, usage: Usage) -> dict[str, Any]:
    """Model, tokens and cost; a model whose cost is not recorded has no cost."""
    counts = {
        "input_tokens": usage.input,
        "output_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
    }
    if usage.cache_read:
        counts["cache_read_input_tokens"] = usage.cache_read
    if usage.cache_write:
        counts["cache_creation_input_tokens"] = usage.cache_write
    attributes = {**model_of(model), "mlflow.chat.tokenUsage": counts}
    spent = prices.cost(model, usage)
    if spent is not None and model not in prices.NOT_RECORDED:
        attributes["mlflow.llm.cost"] = {
            "input_cost": spent[0] / prices.NANO,
            "output_cost": spent[1] / prices.NANO,
            "total_cost": sum(spent) / prices.NANO,
        }
    return attributes


def judge_metadata(scores: Scores, trace_id: str) -> dict[str, str]:
    """What MLflow notes beside a judge's score; ``trace_id`` is of the judge's own trace."""
    return {
        "mlflow.assessment.judgeCost": dollars(sum(prices.cost(JUDGE_MODEL, scores.usage) or ())),
        "mlflow.assessment.judgeInputTokens": str(scores.usage.input),
        "mlflow.assessment.judgeOutputTokens": str(scores.usage.output),
        "mlflow.assessment.scorerTraceId": trace_id,
    }

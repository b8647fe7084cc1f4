"""Planned traces as MLflow's entities: what an application instrumented with MLflow would send."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from qualia_lab.demo.llm import records, texts
from qualia_lab.demo.llm.attributes import judge_metadata, model_of, request, response, usage_of
from qualia_lab.demo.llm.records import Call, PlannedTrace
from qualia_lab.demo.store import SIMULATED

PIPELINE = "self_critique"
_PREVIEW = 250  # MLflow's own limit for a value of a trace's metadata
_JUDGED_AFTER, _RATED_AFTER = 60.0, 3600.0
_MESSAGES = {
    "TimeoutError": f"The request took longer than {records.TIMEOUT_SECONDS:.0f} s.",
    "RateLimitError": "429 Too Many Requests: the limit of requests a minute is reached.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """A trace as it goes to the store: MLflow's ``TraceInfo`` and its ``Span`` entities."""

    info: Any
    spans: Sequence[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Span:
    """One span before it is MLflow's. Times in seconds of the plan; ``error`` is type and text."""

    name: str
    kind: str
    start: float
    end: float
    inputs: Any
    outputs: Any = None
    attributes: Mapping[str, Any]
    error: tuple[str, str] | None = None


class Maker:
    """Makes the entities of one experiment. ``began`` is when the first day began, in ns."""

    def __init__(self, experiment_id: str, began: int) -> None:
        self._experiment_id = experiment_id
        self._began = began

    def trace(self, planned: PlannedTrace, run_id: str, judged_by: Logged | None) -> Logged:
        """The trace of one execution, with its assessments; it belongs to that run."""
        from mlflow.tracing.constant import TraceMetadataKey

        spans = [self._call(call) for call in planned.calls]
        spans += _parsed(planned)
        answer = None if planned.problem else planned.calls[-1].answer
        root = _Span(
            name=PIPELINE,
            kind="CHAIN",
            start=planned.start,
            end=max(span.end for span in spans),
            inputs={"document": planned.document, "question": planned.question},
            outputs=answer and json.loads(answer),
            attributes={"prompt_version": planned.version},
            error=next((span.error for span in reversed(spans) if planned.problem), None),
        )
        return self._logged(
            root,
            spans,
            metadata={
                TraceMetadataKey.TRACE_USER: planned.user,
                TraceMetadataKey.TRACE_SESSION: planned.session,
                TraceMetadataKey.SOURCE_RUN: run_id,
            },
            tags={"team": planned.team, "prompt_version": str(planned.version)},
            assessments=self._assessments(planned, judged_by),
        )

    def judgement(self, planned: PlannedTrace) -> Logged | None:
        """The judge's own trace about an execution, if that one was judged."""
        from mlflow.tracing.constant import TraceTagKey

        if planned.scores is None:
            return None
        usage = planned.scores.usage
        start = planned.end + _JUDGED_AFTER
        root = _Span(
            name=records.JUDGE,
            kind="LLM",
            start=start,
            end=start + 0.3 + usage.output / 100,
            inputs=request(records.JUDGE_MODEL, 0.0, texts.JUDGE_TASK, planned.calls[-1].answer),
            outputs=response(planned.scores.verdict),
            attributes=usage_of(records.JUDGE_MODEL, usage),
        )
        return self._logged(
            root, [], metadata={}, tags={TraceTagKey.SOURCE_SCORER_NAME: records.JUDGE}
        )

    def _logged(
        self,
        root: _Span,
        children: Sequence[_Span],
        *,
        metadata: Mapping[str, str],
        tags: Mapping[str, str],
        assessments: Sequence[Any] = (),
    ) -> Logged:
        from mlflow.entities import TraceInfo, TraceLocation, TraceState
        from mlflow.tracing.constant import (
            TRACE_SCHEMA_VERSION,
            TRACE_SCHEMA_VERSION_KEY,
            TraceMetadataKey,
            TraceTagKey,
        )

        trace = uuid4().int
        top = _span_id()
        spans = [self._entity(root, trace, top, None)]
        spans += [self._entity(child, trace, _span_id(), top) for child in children]
        asked, answered = json.dumps(root.inputs), json.dumps(root.outputs)
        info = TraceInfo(
            trace_id=f"tr-{trace:032x}",
            trace_location=TraceLocation.from_experiment_id(self._experiment_id),
            request_time=self._ns(root.start) // 1_000_000,
            execution_duration=round((root.end - root.start) * 1000),
            state=TraceState.ERROR if root.error else TraceState.OK,
            request_preview=asked[:_PREVIEW],
            response_preview=answered[:_PREVIEW],
            trace_metadata={
                TRACE_SCHEMA_VERSION_KEY: str(TRACE_SCHEMA_VERSION),
                TraceMetadataKey.INPUTS: asked[:_PREVIEW],
                TraceMetadataKey.OUTPUTS: answered[:_PREVIEW],
                **metadata,
            },
            tags={TraceTagKey.TRACE_NAME: root.name, **SIMULATED, **tags},
            assessments=list(assessments),
        )
        return Logged(info=info, spans=spans)

    def _entity(self, span: _Span, trace: int, span_id: int, parent: int | None) -> Any:
        from mlflow.entities import Span
        from mlflow.tracing.constant import SpanAttributeKey
        from mlflow.tracing.utils import build_otel_context
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import Event, ReadableSpan
        from opentelemetry.trace import Status, StatusCode

        attributes = {
            SpanAttributeKey.REQUEST_ID: f"tr-{trace:032x}",
            SpanAttributeKey.SPAN_TYPE: span.kind,
            SpanAttributeKey.INPUTS: span.inputs,
            SpanAttributeKey.OUTPUTS: span.outputs,
            **span.attributes,
        }
        events = []
        status = Status(StatusCode.OK)
        if span.error:
            kind, message = span.error
            status = Status(StatusCode.ERROR, f"{kind}: {message}")
            described = {"exception.type": kind, "exception.message": message}
            events = [Event("exception", described, timestamp=self._ns(span.end))]
        return Span(
            ReadableSpan(
                name=span.name,
                context=build_otel_context(trace, span_id),
                parent=build_otel_context(trace, parent) if parent else None,
                start_time=self._ns(span.start),
                end_time=self._ns(span.end),
                attributes={
                    key: json.dumps(value) for key, value in attributes.items() if value is not None
                },
                status=status,
                events=events,
                # The one by default would name this process among the trace's tags.
                resource=Resource.get_empty(),
            )
        )

    def _call(self, call: Call) -> _Span:
        attributes = usage_of(call.model, call.usage) if call.usage else model_of(call.model)
        return _Span(
            name=call.stage,
            kind="LLM",
            start=call.start,
            end=call.start + call.seconds,
            inputs=request(call.model, call.temperature, call.system, call.request),
            outputs=None if call.problem else response(call.answer),
            attributes=attributes,
            error=(call.problem, _MESSAGES[call.problem]) if call.problem else None,
        )

    def _assessments(self, planned: PlannedTrace, judged_by: Logged | None) -> list[Any]:
        if planned.scores is None or judged_by is None:
            return []
        judge = self._feedback(
            planned.scores.judge,
            ("LLM_JUDGE", records.JUDGE),
            planned.end + _JUDGED_AFTER,
            rationale=planned.scores.verdict,
            metadata=judge_metadata(planned.scores, str(judged_by.info.trace_id)),
        )
        return [judge] + [
            self._feedback(score, ("HUMAN", rater), planned.end + _RATED_AFTER)
            for rater, score in zip(records.RATERS, planned.scores.raters, strict=False)
        ]

    def _feedback(
        self,
        score: int,
        source: tuple[str, str],
        at: float,
        *,
        rationale: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Any:
        from mlflow.entities import AssessmentSource, Feedback

        when = self._ns(at) // 1_000_000
        return Feedback(
            name="quality",
            value=score,
            source=AssessmentSource(source_type=source[0], source_id=source[1]),
            rationale=rationale,
            metadata={**SIMULATED, **(metadata or {})},
            create_time_ms=when,
            last_update_time_ms=when,
        )

    def _ns(self, seconds: float) -> int:
        return self._began + round(seconds * 1000) * 1_000_000


def _parsed(planned: PlannedTrace) -> list[_Span]:
    """The step that reads the last answer as JSON, if the pipeline came that far."""
    last = planned.calls[-1]
    if last.stage != records.STAGES[-1] or last.usage is None:
        return []
    outputs, error = None, None
    try:
        outputs = json.loads(last.answer)
    except ValueError as caught:
        error = (type(caught).__name__, str(caught))
    return [
        _Span(
            name="parse_output",
            kind="PARSER",
            start=planned.end,
            end=planned.end + 0.002,
            inputs=last.answer,
            outputs=outputs,
            attributes={},
            error=error,
        )
    ]


def _span_id() -> int:
    return (uuid4().int >> 64) or 1

"""vitrine.v1.ReportService: what shoppers did and searched for, in counts."""

from typing import Any

from grpc import aio

from gateway.context import current_call, time_for_hop
from gateway.errors import InvalidQuery
from gateway.feedback.folds import Rate
from gateway.feedback.intake import off
from gateway.feedback.reports import Rates, Report, Reports, day_name
from gateway.feedback.words import SearchedWords, WordCounts, lists
from gateway.model import Deadline
from vitrine.domain import limits
from vitrine.v1 import report_pb2, report_pb2_grpc

_Context = aio.ServicerContext[Any, Any]


class ReportServicer(report_pb2_grpc.ReportServiceServicer):
    """Answers ReportService; without events there is nothing to report."""

    def __init__(self, reports: Reports | None, words: WordCounts, *, margin_s: float) -> None:
        self._reports = reports
        self._words = words
        self._margin_s = margin_s

    async def Report(  # noqa: N802 - gRPC's name
        self, request: report_pb2.ReportRequest, context: _Context
    ) -> report_pb2.ReportResponse:
        """Report on the last days.

        Raises:
            InvalidQuery: more days than a report may have.
            FailedPrecondition: no events are taken here, or a day's budget does not suffice.
        """
        del context
        if self._reports is None:
            raise off()
        days = request.days if request.HasField("days") else limits.DEFAULT_REPORT_DAYS
        if not 1 <= days <= limits.MAX_REPORT_DAYS:
            raise InvalidQuery("days", f"must be from 1 to {limits.MAX_REPORT_DAYS}, got {days}")
        left_s = time_for_hop(current_call().deadline, margin_s=self._margin_s)
        report = await self._reports.report(days, Deadline.after(left_s))
        current_call().notes.update(days=days, epsilon=self._reports.epsilon)
        response = _message(report)
        response.noise.epsilon, response.noise.budget = self._reports.epsilon, self._reports.budget
        response.words.least_shoppers = self._words.least
        for name, words in lists(self._words.told()):
            getattr(response.words, name).extend(map(_words_message, words))
        return response


def _message(report: Report) -> report_pb2.ReportResponse:
    response = report_pb2.ReportResponse(
        noise=report_pb2.Noise(shoppers_scale=report.shoppers_scale, answers_scale=report.answers_scale),
        buckets=[
            report_pb2.BucketReport(
                bucket=name,
                answers=counts.answers,
                **_rate_messages(counts.rates),
            )
            for name, counts in report.buckets.items()
        ],
        comparisons=[
            report_pb2.OrdersCompared(experiment=name, **_rate_messages(differences))
            for name, differences in report.comparisons.items()
        ],
    )
    for day, counts in report.days.items():
        told = response.days.add(day=day_name(day))
        for kind, shoppers in counts.items():
            count = told.counts.add(shoppers=shoppers)
            count.kind = kind.value  # type: ignore[assignment] # the numbers are the proto's
    return response


def _rate_messages(rates: Rates) -> dict[str, report_pb2.Rate]:
    return {
        "click_through": _rate_message(rates.click_through),
        "cart": _rate_message(rates.cart),
        "conversion": _rate_message(rates.conversion),
    }


def _rate_message(rate: Rate) -> report_pb2.Rate:
    return report_pb2.Rate(value=rate.value, lowest=rate.lowest, highest=rate.highest)


def _words_message(words: SearchedWords) -> report_pb2.SearchedWords:
    return report_pb2.SearchedWords(
        words=words.words,
        today=words.today,
        yesterday=words.yesterday,
        without_hits=words.without_hits,
        mean_ms=words.mean_s * 1e3,
    )

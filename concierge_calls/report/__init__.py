"""A run's results as a document in one of four formats, as closing sentences, and as an exit code."""

from concierge_calls.report.closing import exit_code, needs_a_look, summary
from concierge_calls.report.document import as_json, as_time, listed, result_document, run_document, stats_document
from concierge_calls.report.formats import pieces, write, write_page

__all__ = [
    "as_json",
    "as_time",
    "exit_code",
    "listed",
    "needs_a_look",
    "pieces",
    "result_document",
    "run_document",
    "stats_document",
    "summary",
    "write",
    "write_page",
]

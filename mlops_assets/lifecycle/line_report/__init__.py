"""The report of a line: data exploration, model comparison and error analysis on one page, for any family."""

from mlops_assets.lifecycle.line_report.page import line_page, line_report, write_batch_page, write_line_page

__all__ = ["line_page", "line_report", "write_batch_page", "write_line_page"]

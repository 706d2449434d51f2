"""What a finished run says of itself: report.json for programs, report.md for people."""

from petkit.report.run import SCHEMA, build_report, write_report

__all__ = ["SCHEMA", "build_report", "write_report"]

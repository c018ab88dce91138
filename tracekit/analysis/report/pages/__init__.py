"""Report pages: one room per kind of suite. Tables come in, one `ReportView` goes out."""

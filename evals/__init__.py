"""How we know: suites, targets, metrics and reports."""

"""Workflows: graphs of an assistant's developer, run under the same runs, events, reviews, ledger and roles."""

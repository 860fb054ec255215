"""Replies for the checker: good ones, written by hand, and bad ones that a program makes of them.

``python -m evals.replies`` prints all cases as JSON lines; ``evals/suites/replies.yaml`` puts them to the gate.
"""

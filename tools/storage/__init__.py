"""Rows, transactions and checkpoints."""

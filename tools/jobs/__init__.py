"""Promised work and who delivers it."""

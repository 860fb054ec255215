"""Guards that need a model or a library."""

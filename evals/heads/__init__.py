"""How the trained parts are made: one module for each, run by ``python -m evals.heads --data DIR``."""

"""The ledger's own audit: verify its chains, sign their heads, export and read back what a third party checks."""

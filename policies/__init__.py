"""What is allowed: vocabulary, policy file, rules and verdicts. No I/O."""

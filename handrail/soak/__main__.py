"""``python -m handrail.soak`` runs the soak; ``--help`` says what can be chosen."""

from __future__ import annotations

from handrail import use_own_packages

if __name__ == "__main__":
    use_own_packages()
    from handrail.soak.cli import main

    main()

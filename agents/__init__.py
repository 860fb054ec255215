"""Who judges: router, drafter, checker and escalation. They know nothing of LangGraph or HTTP."""

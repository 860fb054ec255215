"""How work flows: state, the support graph, the service and its assembly."""

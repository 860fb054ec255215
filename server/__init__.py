"""How clients reach Handrail: HTTP routes, SSE and problem responses."""

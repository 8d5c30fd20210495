"""The gateway put together: listeners, lanes, budgets, and what stands behind the ports; settled once, from the settings."""

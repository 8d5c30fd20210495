"""The embedded stack: starts, probes, restarts and stops Vitrine's processes on one machine."""

"""Learns the order of hits from what shoppers did: rankers, weights per route, and a simulator that proves the loop."""

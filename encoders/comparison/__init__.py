"""Fusion designs held against each other on the same frozen towers, on questions that none was tuned on."""

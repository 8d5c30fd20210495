"""What holds for every call: interceptor, decoding, statuses."""

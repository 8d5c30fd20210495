"""What shoppers do, taken in and kept: pseudonyms, tokens of answers, intake."""

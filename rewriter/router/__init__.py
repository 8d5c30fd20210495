"""The router of last resort: reads English turns by lexicon and rules, without a model.

One turn in file order: `prices` takes what is said of money out of the text, `tagging` turns the rest into tags by
the `lexicon` that `vocabulary` and the request's facets give, `reading` sorts the tags into wishes, `memory` says what
the conversation was about, and `decide` holds the table of rules that makes a rewrite of the two.
"""

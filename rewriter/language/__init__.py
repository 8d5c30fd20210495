"""The embedded language model: what it is shown, what it may answer, how that becomes a rewrite, and how it runs.

`marks` puts typed marks in the place of the catalogue's words, `prompt` adds the conversation's state, the model says
in JSON what the turn does and what each mark is for (`plan`), and `resolve` makes a rewrite of that with the parts
that the router is made of. `decoder` and `batcher` run the model; `engine` is the port's side of it all.
"""

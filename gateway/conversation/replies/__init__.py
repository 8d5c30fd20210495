"""What is said to a shopper once a turn is answered: sentences of templates, one file a language."""

"""What pictures tell of a product's fields: fitted on the products of the index, by their embeddings alone."""

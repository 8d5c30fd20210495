"""The generated code of the protos beside it."""

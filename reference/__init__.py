"""The pages of docs/reference, made from the protos, the settings, the metrics, the schemas and the commands."""

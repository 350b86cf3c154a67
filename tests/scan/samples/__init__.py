"""Generates the samples that the model scanner is measured on. See `tests/scan/README.md`."""

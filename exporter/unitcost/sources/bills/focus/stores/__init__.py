"""Exports that lie in an object store: what a store delivers becomes files of a local cache."""

"""Haystack's name for the document store of `dvesp.integrations.haystack`."""

from .document_store import DvespDocumentStore

__all__ = ["DvespDocumentStore"]

"""`DvespDocumentStore` in Haystack's namespace, by which pipelines' files name it."""

from dvesp.integrations.haystack import DvespDocumentStore as _DvespDocumentStore

__all__ = ["DvespDocumentStore"]


class DvespDocumentStore(_DvespDocumentStore):
    """`dvesp.integrations.haystack.DvespDocumentStore`, under the name that Haystack trusts in pipelines' files."""

"""`DvespEmbeddingRetriever` in Haystack's namespace, by which pipelines' files name it."""

from haystack import component

from dvesp.integrations.haystack import DvespEmbeddingRetriever as _DvespEmbeddingRetriever

__all__ = ["DvespEmbeddingRetriever"]


@component
class DvespEmbeddingRetriever(_DvespEmbeddingRetriever):
    """`dvesp.integrations.haystack.DvespEmbeddingRetriever`, under the name that Haystack trusts in pipelines' files."""

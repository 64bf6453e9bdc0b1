"""Haystack's name for the retriever of `dvesp.integrations.haystack`."""

from .embedding_retriever import DvespEmbeddingRetriever

__all__ = ["DvespEmbeddingRetriever"]

"""A Haystack document store over one collection, and its retriever. Needs ``pip install dvesp[haystack]``."""

from .document_store import DvespDocumentStore
from .retriever import DvespEmbeddingRetriever

__all__ = ["DvespDocumentStore", "DvespEmbeddingRetriever"]

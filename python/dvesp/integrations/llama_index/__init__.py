"""A LlamaIndex vector store over one collection. Needs ``pip install dvesp[llama-index]``."""

from .vector_store import DvespVectorStore

__all__ = ["DvespVectorStore"]

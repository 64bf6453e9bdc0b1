"""LlamaIndex's name for `dvesp.integrations.llama_index`."""

from dvesp.integrations.llama_index import DvespVectorStore

__all__ = ["DvespVectorStore"]

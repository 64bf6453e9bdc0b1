"""LangChain's name for `dvesp.integrations.langchain`."""

from dvesp.integrations.langchain import DvespVectorStore

__all__ = ["DvespVectorStore"]

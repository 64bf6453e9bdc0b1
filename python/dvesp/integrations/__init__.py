"""Adapters for the frameworks that people use a vector store through; each needs its framework, and `dvesp` imports none.

``dvesp.integrations.langchain``, ``.llama_index``, ``.haystack`` and ``.mcp``: see docs/integrations.md.
"""

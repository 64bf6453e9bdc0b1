"""The methods of a document store as coroutines, named as Haystack names them. Native calls release the GIL, so threads do."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any

__all__ = ["Coroutines"]


def _coroutine(name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
    """A coroutine that runs the method ``name`` in a thread."""

    async def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return await asyncio.to_thread(functools.partial(getattr(self, name), *args, **kwargs))

    call.__name__, call.__doc__ = f"{name}_async", f"`{name}`."
    return call


class Coroutines:
    """``count_documents_async`` and so on: each means, takes and raises what the method without ``_async`` does."""

    count_documents_async = _coroutine("count_documents")
    filter_documents_async = _coroutine("filter_documents")
    write_documents_async = _coroutine("write_documents")
    delete_documents_async = _coroutine("delete_documents")
    delete_by_filter_async = _coroutine("delete_by_filter")
    update_by_filter_async = _coroutine("update_by_filter")
    count_documents_by_filter_async = _coroutine("count_documents_by_filter")
    count_unique_metadata_by_filter_async = _coroutine("count_unique_metadata_by_filter")
    get_metadata_fields_info_async = _coroutine("get_metadata_fields_info")
    get_metadata_field_min_max_async = _coroutine("get_metadata_field_min_max")
    get_metadata_field_unique_values_async = _coroutine("get_metadata_field_unique_values")
    search_async = _coroutine("search")

    async def delete_all_documents_async(self, recreate_index: bool = False) -> None:
        """`delete_all_documents`."""
        await asyncio.to_thread(self.delete_all_documents, recreate_index)  # type: ignore[attr-defined]

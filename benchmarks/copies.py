"""How often a vector's bytes are copied: float32 input once, into the log; results are views of the native buffer.

Counted by the native core (`vector_bytes_copied`, bytes from NumPy into log buffers) and by Python's allocator (whole arrays
made on the way), and checked by addresses: arrays of one result lie inside one buffer that none of them owns.
"""

from __future__ import annotations

import sys
import tracemalloc
from typing import Any

import common
import numpy as np
import plots
from dvesp import VectorStore, _native

ROWS, DIMENSION = 10_000, 384
# One float32 array and masks of a byte an element (the search for infinities); a second array would make it 2.
CONVERTED_RATIO_MAX = 1.75


def main() -> int:
    """Counts copies for each kind of input and result, prints and writes them; 1 when a claim does not hold."""
    options = common.parser("copies", __doc__ or "").parse_args()
    with common.scratch(options) as directory, VectorStore(directory / "store", progress=False) as store:
        store.create_collection("default", DIMENSION)
        inputs = [_insert(store, name, rows) for name, rows in _inputs().items()]
        results = _results(store)
    claims = {
        "float32 input is copied once": inputs[0]["copied_ratio"] == 1 and inputs[0]["python_ratio"] < 0.01,
        "other input is converted once, then copied once": all(row["python_ratio"] < CONVERTED_RATIO_MAX for row in inputs[1:]),
        "stored vectors come back bit for bit": results["bit_identical"],
        "results share the native buffer": results["search_shares"] and results["batch_shares"],
    }
    names = ("input", "input_mb", "copied_ratio", "python_ratio")
    common.print_table(
        "Insert of 10,000 x 384 (ratios: to the float32 bytes)", names, [[row[name] for name in names] for row in inputs]
    )
    common.print_table("Results", ("what", "measured"), list(results.items()))
    common.print_table("Claims", ("claim", "holds"), list(claims.items()))
    common.write_report(
        options, {"rows": ROWS, "dimension": DIMENSION}, {"inputs": inputs, "outputs": results, "claims": claims}
    )
    bars = {row["input"]: row["copied_ratio"] + row["python_ratio"] for row in inputs}
    panel = plots.Panel("copies of the vectors on the way into the log", "bytes written per byte of float32 input", bars)
    plots.save(options.plot, "Copies", [panel])
    return 0 if all(claims.values()) else 1


def _inputs() -> dict[str, Any]:
    random = np.random.default_rng(7)
    rows = random.standard_normal((ROWS, DIMENSION), np.float32)
    return {
        "float32, C-contiguous": rows,
        "float32, transposed": np.asfortranarray(rows + 1),
        "float32, every second row": np.repeat(rows + 2, 2, axis=0)[::2],
        "float64": rows.astype(np.float64) + 3,
        "float16": (rows + 4).astype(np.float16),
    }


def _insert(store: Any, name: str, rows: Any) -> dict[str, Any]:
    """One insert: native copies, and what Python's allocator held at most meanwhile, beyond what it held before."""
    ids = [f"{name}-{row}" for row in range(ROWS)]
    wanted = ROWS * DIMENSION * 4
    store.insert(rows[:8], None, [f"warm-{name}-{row}" for row in range(8)])
    copied = _native.vector_bytes_copied()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    store.insert(rows, None, ids)
    peak = tracemalloc.get_traced_memory()[1] - before
    after_arrays = peak - _ids_bytes(ids)
    tracemalloc.stop()
    copied = _native.vector_bytes_copied() - copied
    return {
        "input": name,
        "input_mb": rows.nbytes / 1e6,
        "copied_bytes": copied,
        "copied_ratio": copied / wanted,
        "python_peak_bytes": peak,
        "python_ratio": max(0.0, round(after_arrays / wanted, 4)),
    }


def _ids_bytes(ids: list[str]) -> int:
    """What the list of ids that the result carries may take: strings and the list, twice over."""
    return 2 * (sum(map(sys.getsizeof, ids)) + sys.getsizeof(ids))


def _results(store: Any) -> dict[str, Any]:
    random = np.random.default_rng(8)
    rows = _inputs()["float32, C-contiguous"]
    queries = random.standard_normal((16, DIMENSION), np.float32)
    one = store.search(queries[0], top_k=10)
    batch = store.search_batch(queries, top_k=10)
    copied = _native.vector_bytes_copied()
    store.search(queries[0], top_k=10)
    got = store.get([f"float32, C-contiguous-{row}" for row in range(100)])
    return {
        "search_shares": _views_of_one_buffer([match.vector for match in one]),
        "batch_shares": not batch.vectors.flags.owndata and not batch.distances.flags.owndata,
        "batch_rows_share": all(np.shares_memory(batch.vectors, result[0].vector) for result in batch),
        "search_address_step_bytes": _address_step([match.vector for match in one]),
        "bytes_copied_by_reading": _native.vector_bytes_copied() - copied,
        "get_shares": _views_of_one_buffer([record.vector for record in got]),
        "bit_identical": all(
            (record.vector.view(np.uint32) == rows[number].view(np.uint32)).all() for number, record in enumerate(got)
        ),
    }


def _addresses(arrays: list[Any]) -> list[int]:
    return [array.__array_interface__["data"][0] for array in arrays]


def _address_step(arrays: list[Any]) -> int:
    """The distance in bytes from one array to the next; 0 when it is not the same for all."""
    steps = set(np.diff(_addresses(arrays)).tolist())
    return int(steps.pop()) if len(steps) == 1 else 0


def _views_of_one_buffer(arrays: list[Any]) -> bool:
    """No array owns its memory, all have the same owner, and they lie side by side in it."""
    owners = {id(_root(array)) for array in arrays}
    return not any(array.flags.owndata for array in arrays) and len(owners) == 1 and _address_step(arrays) >= arrays[0].nbytes


def _root(array: Any) -> Any:
    while isinstance(array, np.ndarray) and array.base is not None:
        array = array.base
    return array


if __name__ == "__main__":
    sys.exit(main())

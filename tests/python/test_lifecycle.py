"""A store's life: reopened, locked, killed, copied, restored, used from asyncio."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dvesp import AsyncVectorStore, CollectionNotFound, Error, InvalidArgument, Record, StoreLocked, VectorStore, progress


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs Python code in another process with the same environment."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("ending", ["close", "with", "forgotten"])
def test_reopened_store_holds_everything_acknowledged(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "deep" / "store"
    store = VectorStore(path)
    store.create_collection("docs", 2, "l2", index="flat")
    store.insert([[1, 2], [3, 4]], [{"n": 1}, None], ["a", "b"], collection="docs")
    store.update("a", metadata={"n": 2}, collection="docs")
    store.delete("b", collection="docs")
    if ending == "close":
        store.close()
    elif ending == "with":
        with store:
            pass
    else:
        del store
        gc.collect()
    with VectorStore(str(path)) as again:
        assert again.list_collections() == ["docs"] and again.count("docs") == 1
        record = again.get("a", "docs")[0]
        assert record is not None and (record.version, record.metadata) == (2, {"n": 2})
        assert again.describe("docs").metric == "l2" and again.verify("docs").ok


def test_killed_process_loses_nothing_acknowledged(tmp_path: Path) -> None:
    done = run(
        """
        import os, signal, sys
        from dvesp import VectorStore
        store = VectorStore(sys.argv[1])
        for batch in range(20):
            store.insert([[batch + 1.0, 1.0]], [{"n": batch}], [str(batch)])
        store.flush()
        store.insert([[1.0, 1.0]], ids=["last"])
        os.kill(os.getpid(), signal.SIGKILL)
        """,
        str(tmp_path / "store"),
    )
    assert done.returncode == -9, done.stderr
    with VectorStore(tmp_path / "store") as store:
        assert {record.id for record in store.scroll()} == {*map(str, range(20)), "last"} and store.verify().ok


def test_second_process_is_locked_out(tmp_path: Path) -> None:
    code = """
        import sys
        from dvesp import StoreLocked, VectorStore
        try:
            VectorStore(sys.argv[1])
        except StoreLocked as error:
            print("locked:", error)
        else:
            print("opened")
        """
    with VectorStore(tmp_path / "store") as store:
        store.insert([[1.0]])
        assert run(code, str(tmp_path / "store")).stdout.startswith("locked:")
        assert store.count() == 1
    assert run(code, str(tmp_path / "store")).stdout.strip() == "opened"


def test_second_store_in_the_same_process_is_locked_out(tmp_path: Path) -> None:
    with VectorStore(tmp_path / "store") as store:
        store.insert([[1.0]])
        with pytest.raises(StoreLocked, match="store"):
            VectorStore(tmp_path / "store")
        store.insert([[2.0]])
        assert store.count() == 2
    VectorStore(tmp_path / "store").close()


def test_memory_stores_are_apart() -> None:
    with VectorStore() as first, VectorStore() as second:
        first.insert([[1.0]])
        assert first.count() == 1 and second.list_collections() == []


def test_context_manager_closes_on_an_exception(tmp_path: Path) -> None:
    def fail_inside() -> None:
        with VectorStore(tmp_path / "store") as store:
            store.insert([[1.0]])
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        fail_inside()
    with VectorStore(tmp_path / "store") as store:
        assert store.count() == 1


@pytest.mark.parametrize("origin", ["memory", "directory"])
def test_snapshot_restores_to_a_directory_and_to_memory(tmp_path: Path, origin: str) -> None:
    with VectorStore(None if origin == "memory" else tmp_path / "store") as store:
        store.insert(np.eye(10, dtype=np.float32), [{"n": i} for i in range(10)], [str(i) for i in range(10)])
        store.flush()
        store.upsert({"id": "head", "vector": np.ones(10)})
        store.delete("3")
        store.snapshot(tmp_path / "copy")
        store.insert(np.full((1, 10), 2, np.float32), ids=["later"])
        wanted = {*map(str, range(10)), "head"} - {"3"}
    for path in (tmp_path / "again", None):
        with VectorStore.restore(tmp_path / "copy", path) as restored:
            assert {record.id for record in restored.scroll()} == wanted and restored.verify().ok
            assert restored.search(np.ones(10), 1)[0].id == "head"
            restored.insert(np.full((1, 10), 3, np.float32), ids=["new"])
    with VectorStore(tmp_path / "again") as reopened:
        assert reopened.count() == len(wanted) + 1


@pytest.mark.parametrize("store", ["memory", "cluster"], indirect=True)
def test_snapshot_into_a_directory_in_use_is_refused(store: VectorStore, tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").write_text("mine")
    store.insert([[1.0]])
    with pytest.raises(InvalidArgument):
        store.snapshot(tmp_path / "used")
    assert os.listdir(tmp_path / "used") == ["file"] and os.listdir(tmp_path) == ["used"]


@pytest.mark.parametrize("store", ["memory", "cluster"], indirect=True)
def test_snapshot_has_every_record_bit_for_bit_with_its_version_and_every_configuration(
    store: VectorStore, tmp_path: Path, vectors: Callable[..., Any]
) -> None:
    store.create_collection("docs", 8, metric="l2", index="ivf", index_params={"nlist": 4})
    store.create_collection("empty", 3, metric="dot_product", index="flat")
    rows = vectors(3000)
    rows[0] = np.float32(1e-40)  # a denormal: nothing may round it
    ids = [f"id-{number:05}" for number in range(len(rows))]
    store.insert(rows, [{"n": number, "t": ["x", None, 1.5]} for number in range(len(rows))], ids, collection="docs")
    for _ in range(3):
        store.update("id-00007", metadata={"n": "changed"}, collection="docs")
    store.upsert({"id": "id-00008", "vector": rows[9]}, collection="docs")
    store.delete([f"id-{number:05}" for number in range(100, 200)], collection="docs")
    wanted = {record.id: record for record in store.scroll("docs")}
    infos = {name: store.describe(name) for name in store.list_collections()}
    (tmp_path / "copy").mkdir()
    store.snapshot(tmp_path / "copy")
    store.insert(vectors(1), ids=["later"], collection="docs")
    assert sorted(os.listdir(tmp_path)) == (["copy"] if not (tmp_path / "store").exists() else ["copy", "store"])
    with VectorStore.restore(tmp_path / "copy") as restored:
        check_copy(restored, wanted, infos)
    with VectorStore(tmp_path / "copy") as opened:
        check_copy(opened, wanted, infos)
        assert opened.update("id-00007", metadata={}, collection="docs").version == 5
        opened.compact()
        assert opened.verify("docs").ok and opened.describe("docs").count == 2900


def check_copy(store: VectorStore, wanted: dict[str, Record], infos: dict[str, Any]) -> None:
    """The store holds what was copied, and nothing else."""
    found = {record.id: record for record in store.scroll("docs")}
    assert found.keys() == wanted.keys() and store.verify("docs").ok and store.count("empty") == 0
    for id, record in found.items():
        assert record.vector.tobytes() == wanted[id].vector.tobytes()
        assert (record.version, record.metadata) == (wanted[id].version, wanted[id].metadata)
    assert (found["id-00007"].version, found["id-00008"].version, found["id-00009"].version) == (4, 2, 1)
    for name, info in infos.items():
        same = ("dimension", "metric", "index", "index_params", "count")
        assert [getattr(store.describe(name), field) for field in same] == [getattr(info, field) for field in same]
    assert set(store.list_collections()) == set(infos)


def test_restore_over_a_store_is_refused_and_keeps_it(tmp_path: Path) -> None:
    with VectorStore(tmp_path / "store") as store:
        store.insert([[1.0]], ids=["mine"])
        store.snapshot(tmp_path / "copy")
        store.insert([[2.0]], ids=["later"])
    with pytest.raises(Error):
        VectorStore.restore(tmp_path / "copy", tmp_path / "store")
    with VectorStore(tmp_path / "store") as store:
        assert store.count() == 2


def test_failed_constructor_leaves_no_noise_behind(tmp_path: Path) -> None:
    done = run("import dvesp\ntry:\n    dvesp.VectorStore('', nodes=1)\nexcept dvesp.InvalidArgument: print('refused')")
    assert (done.stdout.strip(), done.stderr) == ("refused", "")
    done = run("import dvesp\nkept = dvesp.VectorStore()\nkept.insert([[1.0]])\nprint('exits')")
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "exits", "")


def test_forked_child_is_refused_and_the_parent_goes_on(tmp_path: Path) -> None:
    done = run(
        """
        import os, sys
        from dvesp import Unavailable, VectorStore
        store = VectorStore(sys.argv[1])
        store.insert([[1.0, 2.0]], ids=["a"])
        child = os.fork()
        if child == 0:
            try:
                store.search([1.0, 2.0])
            except Unavailable as error:
                store.close()
                del store
                print("child refused:", error, flush=True)
            sys.exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        store.insert([[3.0, 4.0]], ids=["b"])
        print("parent has", store.count())
        """,
        str(tmp_path / "store"),
    )
    assert done.returncode == 0, done.stderr
    assert "child refused: this store was opened before fork()" in done.stdout and "parent has 2" in done.stdout
    with VectorStore(tmp_path / "store") as store:
        assert store.count() == 2 and store.verify().ok


def test_async_store_has_the_methods_and_results_of_the_store(tmp_path: Path) -> None:
    async def use() -> None:
        async with AsyncVectorStore(tmp_path / "store") as store:
            docs = await store.create_collection("docs", 2)
            await docs.insert([[1, 0], [0, 1]], [{"n": 0}, {"n": 1}], ["a", "b"])
            found = await asyncio.gather(*(store.search([1, 0], 1, collection="docs") for _ in range(20)))
            assert [result[0].id for result in found] == ["a"] * 20
            assert (await docs.search_batch([[0, 1]], top_k=1)).ids == [["b"]]
            assert [record.id async for record in store.scroll("docs", batch_size=1)] == ["a", "b"]
            assert [record.id async for record in await docs.scroll({"n": 1})] == ["b"]
            assert (await store.update("a", metadata={"n": 5}, collection="docs")).version == 2
            assert await store.count("docs", {"n": 5}) == 1 and (await docs.describe()).count == 2
            await store.snapshot(tmp_path / "copy")
            with pytest.raises(CollectionNotFound):
                await store.count("nope")
        await store.close()
        with pytest.raises(InvalidArgument, match="closed"):
            await store.count("docs")
        async with await AsyncVectorStore.restore(tmp_path / "copy") as restored:
            assert await restored.list_collections() == ["docs"]

    asyncio.run(use())


def test_async_methods_are_the_store_methods() -> None:
    names = {name for name in dir(VectorStore) if not name.startswith("_")}
    assert names == {name for name in dir(AsyncVectorStore) if not name.startswith("_")}
    for name in names - {"scroll"}:
        assert inspect.iscoroutinefunction(getattr(AsyncVectorStore, name)), name


def test_async_calls_leave_the_event_loop_free() -> None:
    async def use() -> int:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.001)

        async with AsyncVectorStore() as store:
            ticking = asyncio.create_task(tick())
            for _ in range(5):
                await store.insert(np.random.default_rng(0).standard_normal((5000, 32)))
            ticking.cancel()
        return ticks

    assert asyncio.run(use()) > 5


def test_progress_is_drawn_only_where_it_is_wanted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "DELAY_S", 0.0)
    monkeypatch.setattr(progress, "POLL_S", 0.01)
    stop, asked = threading.Event(), []

    def poll() -> tuple[str, int, int]:
        asked.append(1)
        if len(asked) >= 3:
            stop.set()
        return ("merging", len(asked), 10)

    with progress.shown("compact", poll, False):
        pass
    with progress.shown("compact", poll, None):
        pass
    assert not asked and capsys.readouterr().err == ""
    with progress.shown("compact", poll, True):
        assert stop.wait(10)
    assert "merging" in capsys.readouterr().err


def test_progress_that_fails_does_not_break_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "DELAY_S", 0.0)
    monkeypatch.setattr(progress, "POLL_S", 0.001)
    asked = threading.Event()

    def poll() -> tuple[str, int, int]:
        asked.set()
        raise ValueError("broken")

    with progress.shown("flush", poll, True):
        assert asked.wait(10)

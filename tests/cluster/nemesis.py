"""The faults of a run, drawn from its seed: each is applied, lasts, and is undone."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from linked_cluster import CLIENTS, LinkedCluster

Undo = Callable[[], None]
Pair = tuple[int, int]


class Nemesis:
    """Faults on one cluster. Each method applies one and returns how it is undone."""

    def __init__(self, cluster: LinkedCluster, seed: int, only: tuple[str, ...] = ()) -> None:
        self.cluster = cluster
        self.random = random.Random(f"{seed} nemesis")
        self.nodes = list(range(len(cluster.addresses)))
        self.applied: list[str] = []
        self.faults: list[Callable[[], Undo]] = [
            self.kill_one, self.kill_leader, self.kill_leader, self.kill_majority, self.kill_all, self.blink,
            self.terminate_one, self.terminate_leader, self.pause_one, self.pause_leader, self.pause_leader,
            self.pause_majority, self.isolate_one, self.isolate_leader, self.isolate_leader, self.deafen_leader,
            self.mute_leader, self.halves, self.bridge, self.slow_links, self.lossy_links, self.hide_leader,
        ]  # fmt: skip
        if only:
            known = {fault.__name__: fault for fault in self.faults}
            self.faults = [known[name] for name in only]

    def run(self, until: float) -> None:
        """Faults, sometimes two at once, until the time is over; the cluster is whole again when it returns."""
        start = time.monotonic()
        while True:
            chosen = self.random.sample(self.faults, min(len(self.faults), 2 if self.random.random() < 0.3 else 1))
            lasts_s = self.random.choice([0.2, 0.5, 1.0, 1.5, 2.0, 4.0])
            calm_s = self.random.choice([0.0, 0.2, 0.5, 1.0])
            if time.monotonic() + 0.2 > until:
                break
            undos: list[Undo] = []
            for fault in chosen:
                self.applied.append(f"{time.monotonic() - start:.2f} s: {fault.__name__} for {lasts_s} s")
                undos.append(fault())
            time.sleep(max(0.0, min(lasts_s, until - time.monotonic())))
            for undo in reversed(undos):
                undo()
            self.cluster.look_for_deaths()
            self.cluster.heal()
            time.sleep(max(0.0, min(calm_s, until - time.monotonic())))
        self.cluster.heal()

    def one(self) -> int:
        return self.random.choice(self.nodes)

    def leader(self) -> int:
        """The leader, or anybody where none is known. The draw is made either way: a seed stays a seed."""
        anybody = self.one()
        found = self.cluster.leader()
        return anybody if found is None else found

    def majority(self) -> list[int]:
        return self.random.sample(self.nodes, len(self.nodes) // 2 + 1)

    # --- processes ---

    def kill(self, numbers: list[int]) -> Undo:
        for number in numbers:
            self.cluster.kill(number)
        order = self.random.sample(numbers, len(numbers))
        return lambda: [self.cluster.start(number) for number in order] and None

    def kill_one(self) -> Undo:
        return self.kill([self.one()])

    def kill_leader(self) -> Undo:
        return self.kill([self.leader()])

    def kill_majority(self) -> Undo:
        return self.kill(self.majority())

    def kill_all(self) -> Undo:
        return self.kill(self.nodes)

    def blink(self) -> Undo:
        """Killed and back at once, one after the other: nobody has time to elect."""
        for number in self.random.sample(self.nodes, len(self.nodes)):
            self.kill([number])()
        return lambda: None

    def terminate(self, number: int) -> Undo:
        self.cluster.terminate(number)
        return lambda: self.cluster.start(number)

    def terminate_one(self) -> Undo:
        return self.terminate(self.one())

    def terminate_leader(self) -> Undo:
        return self.terminate(self.leader())

    def pause(self, numbers: list[int]) -> Undo:
        for number in numbers:
            self.cluster.pause(number)
        return lambda: [self.cluster.resume(number) for number in numbers] and None

    def pause_one(self) -> Undo:
        return self.pause([self.one()])

    def pause_leader(self) -> Undo:
        return self.pause([self.leader()])

    def pause_majority(self) -> Undo:
        return self.pause(self.majority())

    # --- links: the last one applied holds for the whole network ---

    def cut(self, pairs: list[Pair]) -> Undo:
        self.cluster.links.change(cut=pairs)
        reset = self.random.random() < 0.5  # else what was held back arrives late
        return lambda: self.cluster.links.change(reset=reset)

    def between(self, left: list[int], right: list[int]) -> list[Pair]:
        return [pair for a in left for b in right for pair in ((a, b), (b, a))]

    def others(self, number: int) -> list[int]:
        return [node for node in self.nodes if node != number]

    def isolate_one(self) -> Undo:
        number = self.one()
        return self.cut(self.between([number], self.others(number)))

    def isolate_leader(self) -> Undo:
        """From the other nodes alone: clients still reach it, and it must not answer them from its old knowledge."""
        number = self.leader()
        return self.cut(self.between([number], self.others(number)))

    def deafen_leader(self) -> Undo:
        number = self.leader()
        return self.cut([(node, number) for node in self.others(number)])

    def mute_leader(self) -> Undo:
        number = self.leader()
        return self.cut([(number, node) for node in self.others(number)])

    def hide_leader(self) -> Undo:
        """Only clients lose it: they must find out who else leads, or wait."""
        number = self.leader()
        return self.cut([(CLIENTS, number), (number, CLIENTS)])

    def halves(self) -> Undo:
        left = self.random.sample(self.nodes, len(self.nodes) // 2)
        return self.cut(self.between(left, [node for node in self.nodes if node not in left]))

    def bridge(self) -> Undo:
        """Two sides that see each other only through one node."""
        order = self.random.sample(self.nodes, len(self.nodes))
        middle = len(order) // 2
        return self.cut(self.between(order[:middle], order[middle + 1 :]))

    def slow_links(self) -> Undo:
        pairs = [(a, b) for a in [*self.nodes, CLIENTS] for b in [*self.nodes, CLIENTS] if a != b]
        slow = [(a, b, self.random.choice([0.0, 0.005, 0.05, 0.2, 0.6])) for a, b in pairs]
        self.cluster.links.change(delay_s=slow)
        return self.cluster.links.change

    def lossy_links(self) -> Undo:
        """Connections break in the middle of messages."""
        pairs = [(a, b) for a in [*self.nodes, CLIENTS] for b in [*self.nodes, CLIENTS] if a != b]
        self.cluster.links.change(loss=[(a, b, self.random.choice([0.0, 0.02, 0.1])) for a, b in pairs])
        return self.cluster.links.change

"""The calls of several targets in one operation, and what to do where the server refuses that."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

from exporter.document.aliases import pack_operations, unpack_response
from exporter.model.errors import Failure, Reason
from exporter.model.outcome import Operation, Response
from exporter.plan.plan import PackPlan, QueryPlan
from exporter.upstream.graphql import Client
from exporter.upstream.memory import NoMemory
from exporter.upstream.rate_limit import Admission

# How a server takes more aliases, more complexity or a larger answer than it can, as far as it can be told.
_REFUSALS: Final = frozenset({Reason.GRAPHQL, Reason.HTTP_4XX, Reason.TOO_LARGE, Reason.TIMEOUT})

Answer: TypeAlias = Response | Failure

Take: TypeAlias = Callable[[int, Answer], Awaitable[None]]
"""Takes the answer to the operation at that position."""


class PackedCalls:
    """The requests of one poll: packs of `size`, and smaller ones where the server refuses them while it answers a
    single call. `accepted` is the largest pack that it took then, half of one that it refused at most, or 1. A refusal
    that a bad call among the others explains is no reason for smaller packs.

    Without `splits`, what a pack is refused with is the failure of all of its calls. `extra_requests` are those beyond
    the packs that were to be sent."""

    def __init__(
        self,
        query: QueryPlan,
        pack: PackPlan,
        client: Client,
        pace: Admission | None,
        size: int,
        *,
        splits: bool = True,
    ) -> None:
        self._query = query
        self._pack = pack
        self._client = client
        self._pace = pace
        self._size = size
        self._splits = splits
        self.extra_requests = 0
        self._worked: dict[int, bool] = {}  # by position, of the calls that have their answer
        self._largest = 1
        self._refused_size = size
        self._refusal = ""

    @property
    def _a_call_failed(self) -> bool:
        return not all(self._worked.values())

    @property
    def refusal(self) -> str:
        """How packs as such were refused; empty if they were not."""
        return "" if self._a_call_failed else self._refusal

    @property
    def accepted(self) -> int:
        """How many targets in one operation the server takes."""
        return min(self._largest, max(1, self._refused_size // 2)) if self.refusal else self._size

    async def ask(self, operations: Sequence[Operation], take: Take) -> None:
        """Has each answer taken as it comes, before the next request is sent: none is kept while a request waits
        for its turn, as a big one would keep memory from other sources."""
        waiting = deque(_chunks(list(range(len(operations))), self._size))
        self.extra_requests = -len(waiting)
        while waiting:
            chunk = waiting.popleft()
            asked = [operations[position] for position in chunk]
            failure = await self._ask(chunk, asked, take)
            if failure is None:
                continue
            may_be_size = self._splits and failure.reason in _REFUSALS and not isinstance(failure, NoMemory)
            if not may_be_size or not await self._single_works(chunk, operations, take):
                for position in chunk:
                    if position not in self._worked:
                        await self._hand_on(position, failure, take)
                continue
            self._refused_size = min(self._refused_size, len(chunk))
            self._refusal = self._refusal or failure.detail
            left = [position for position in chunk if position not in self._worked]
            waiting.extendleft(reversed(_chunks(left, max(1, len(chunk) // 2))))

    async def _ask(self, chunk: Sequence[int], operations: Sequence[Operation], take: Take) -> Failure | None:
        """Asks these calls at once and hands on the answers; or gives the failure of the pack."""
        if len(chunk) == 1:
            await self._hand_on(chunk[0], await self._answer(operations[0]), take)
            return None
        answer = await self._answer(pack_operations(operations, self._pack.shared))
        if isinstance(answer, Failure):
            return answer
        self._largest = max(self._largest, len(chunk))
        for position, part in zip(chunk, unpack_response(answer, len(chunk), operations[0].shape), strict=True):
            await self._hand_on(position, part, take)
        return None

    async def _hand_on(self, position: int, answer: Answer, take: Take) -> None:
        self._worked[position] = isinstance(answer, Response)
        await take(position, answer)

    async def _single_works(self, chunk: Sequence[int], operations: Sequence[Operation], take: Take) -> bool:
        """Whether one of the calls works alone: the first or else the last, as long as none did before."""
        if any(self._worked.values()):
            return True
        for position in (chunk[0], chunk[-1]):
            await self._ask([position], [operations[position]], take)
            if self._worked[position]:
                return True
        return False

    async def _answer(self, asked: Operation) -> Answer:
        self.extra_requests += 1
        if self._pace is not None:
            await self._pace.wait_to_pass(self._query.name)
        try:
            return await self._client.execute(asked, deadline_seconds=self._query.timeout_seconds)
        except Failure as failure:
            return failure


def _chunks(positions: list[int], size: int) -> list[list[int]]:
    return [positions[start : start + size] for start in range(0, len(positions), size)]

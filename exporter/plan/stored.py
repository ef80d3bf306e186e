"""A plan apart from the memory that was used to make it.

CPython gives memory back in arenas of 1 MiB in which nothing is left. A plan of thousands of queries is made among the
values of the files, their lines and their models, and keeps most arenas of them: 20 kB a query, where the plan takes
5 kB. A copy that is made once those are gone stands close together.
"""

from __future__ import annotations

import pickle
from io import BytesIO

from msgspec import Struct

from exporter.model.background import give_way
from exporter.plan.plan import Plan


class StoredPlan(Struct, frozen=True):
    """A plan as bytes, in so many parts: what they share, they share again when they are read."""

    content: bytes
    parts: int

    @classmethod
    def of(cls, plan: Plan) -> StoredPlan:
        """The bytes of a plan."""
        content = BytesIO()
        pickler = pickle.Pickler(content, pickle.HIGHEST_PROTOCOL)
        parts = (*plan.sources, *plan.queries, plan)  # one by one, as none can be interrupted
        for part in parts:
            give_way()
            pickler.dump(part)
        return cls(content.getvalue(), len(parts))

    def read(self) -> Plan:
        """The plan, made anew."""
        unpickler = pickle.Unpickler(BytesIO(self.content))  # noqa: S301 - what this process wrote
        for _ in range(self.parts):
            give_way()
            part = unpickler.load()
        assert isinstance(part, Plan)
        return part

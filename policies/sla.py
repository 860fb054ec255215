"""How long a person has: working minutes, in the zone of those who work, over holidays and clock changes.

A minute of work is a minute that passes while somebody works. On a day when the clock goes forward, hours that do
not exist are not worked; when it goes back, those that come twice are worked twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

LEVELS = ("low", "normal", "high", "urgent")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SPAN = re.compile(r"([01]\d|2[0-4]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")
DAY = 24 * 60
Span = tuple[int, int]
"""Begin and end, in minutes of a day by the clock on the wall."""


@dataclass(frozen=True, kw_only=True)
class Hours:
    """When people work."""

    zone: ZoneInfo
    week: tuple[tuple[Span, ...], ...]
    """From Monday to Sunday, each day's spans in order and apart."""
    holidays: frozenset[date] = frozenset()

    def add(self, now: datetime, minutes: int) -> datetime:
        """Return the time, in UTC, when so many minutes of work have passed."""
        left = timedelta(minutes=minutes)
        for begin, end in self._worked(now):
            if end - begin >= left:
                return begin + left
            left -= end - begin
        raise AssertionError("a week has hours in which people work")

    def _worked(self, now: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Yield the times in which people work from now on, without end."""
        # Hours of yesterday never reach into today; hours of today may be over, though.
        day = now.astimezone(self.zone).date()
        while True:
            if day not in self.holidays:
                for span in self.week[day.weekday()]:
                    begin, end = self._moment(day, span[0], fold=0), self._moment(day, span[1], fold=1)
                    if end > now and end > begin:
                        yield max(begin, now.astimezone(UTC)), end
            day += timedelta(days=1)

    def _moment(self, day: date, minute: int, *, fold: int) -> datetime:
        """Return when the clock on the wall shows a minute of a day; if it never does, when it jumps over it.

        What it shows twice it shows first (``fold`` 0) or last (1).
        """
        wall = (datetime.combine(day, time(), self.zone) + timedelta(minutes=minute)).replace(fold=fold)
        moment = wall.astimezone(UTC)
        if moment.astimezone(self.zone).replace(tzinfo=None) == wall.replace(tzinfo=None):
            return moment
        return self._jump(wall.replace(fold=1).astimezone(UTC), wall.replace(fold=0).astimezone(UTC))

    def _jump(self, before: datetime, after: datetime) -> datetime:
        """Return the second between two moments at which the clock was put forward."""
        offset = before.astimezone(self.zone).utcoffset()
        while after - before > timedelta(seconds=1):
            middle = before + (after - before) / 2
            if middle.astimezone(self.zone).utcoffset() == offset:
                before = middle
            else:
                after = middle
        return after.replace(microsecond=0)


def read_spans(texts: Sequence[str]) -> tuple[Span, ...]:
    """Read the hours of one day, such as ``09:00-17:00``; raises ``ValueError`` saying what is wrong."""
    spans: list[Span] = []
    for text in texts:
        match = _SPAN.fullmatch(text.strip())
        begin, end = (int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])) if match else (0, 0)
        if not begin < end <= DAY:
            raise ValueError(f"{text!r} are no hours; write them like '09:00-17:00', the end after the begin")
        if spans and begin < spans[-1][1]:
            raise ValueError(f"{text!r} begins before the hours that stand before it end; put them in order")
        spans.append((begin, end))
    return tuple(spans)


@dataclass(frozen=True, kw_only=True)
class Due:
    """By when a person must have looked, at which priority."""

    priority: str
    at: datetime


def due_at(
    priority: str,
    now: datetime,
    *,
    minutes: Mapping[str, int],
    hours: Hours | None = None,
    around_the_clock: Sequence[str] = (),
) -> datetime:
    """Return by when a person must look at what has this priority; unknown ones get the shortest time."""
    allowed = minutes.get(priority, min(minutes.values()))
    if hours is None or priority in around_the_clock:
        return now + timedelta(minutes=allowed)
    return hours.add(now, allowed)


def above(priority: str) -> str | None:
    """Return the priority above one, or None at the top and for what is no priority."""
    place = LEVELS.index(priority) + 1 if priority in LEVELS else len(LEVELS)
    return LEVELS[place] if place < len(LEVELS) else None

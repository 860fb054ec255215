"""Due times count minutes in which people work: over nights, weekends, holidays and clock changes."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from policies.sections import Sla
from policies.sla import Due, Hours, above, read_spans

OFFICE = {day: ["09:00-12:00", "13:00-17:00"] for day in ("mon", "tue", "wed", "thu", "fri")}


def at(text: str, zone: str = "Europe/Berlin") -> datetime:
    """Return a time on the wall of a zone, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def an_sla(**more: object) -> Sla:
    return Sla.model_validate(
        {"minutes": {"urgent": 30, "normal": 480}, "hours": {"timezone": "Europe/Berlin", **OFFICE}, **more}
    )


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("2026-03-02 09:00", "2026-03-03 10:00"),
        ("2026-03-02 12:30", "2026-03-03 14:00"),
        ("2026-03-06 16:59", "2026-03-10 09:59"),
        ("2026-03-07 11:00", "2026-03-10 10:00"),
        ("2026-03-02 03:00", "2026-03-03 10:00"),
    ],
)
def test_only_minutes_count_in_which_people_work(now: str, due: str) -> None:
    assert an_sla().due_at("normal", at(now)) == at(due)


def test_the_end_of_a_day_is_still_that_day() -> None:
    assert an_sla(minutes={"normal": 420}).due_at("normal", at("2026-03-02 09:00")) == at("2026-03-02 17:00")


def test_nobody_works_on_a_holiday() -> None:
    sla = an_sla(holidays=["2026-12-25", date(2026, 12, 24)])
    assert sla.due_at("normal", at("2026-12-23 16:00")) == at("2026-12-28 17:00")


def test_a_priority_may_count_around_the_clock() -> None:
    sla = an_sla(around_the_clock=["urgent"])
    assert sla.due_at("urgent", at("2026-03-07 23:50")) == at("2026-03-08 00:20")
    assert sla.due_at("normal", at("2026-03-07 23:50")) == at("2026-03-10 10:00")


def test_without_hours_all_minutes_count_and_an_unknown_priority_has_the_least() -> None:
    sla = Sla(minutes={"urgent": 30, "low": 600})
    assert [sla.due_at(each, at("2026-03-07 23:50")) for each in ("low", "whatever")] == [
        at("2026-03-08 09:50"),
        at("2026-03-08 00:20"),
    ]


def night(begin: str, end: str, zone: str) -> Hours:
    spans = read_spans([f"{begin}-{end}"])
    return Hours(zone=ZoneInfo(zone), week=(spans,) * 7)


@pytest.mark.parametrize(
    ("zone", "day", "begin", "end", "minutes"),
    [
        ("Europe/Berlin", "2026-03-29", "00:00", "06:00", 300),
        ("Europe/Berlin", "2026-03-29", "00:00", "02:30", 120),
        ("Europe/Berlin", "2026-03-29", "02:30", "06:00", 180),
        ("Europe/Berlin", "2026-10-25", "00:00", "06:00", 420),
        ("Europe/Berlin", "2026-10-25", "00:00", "02:30", 210),
        ("America/New_York", "2026-03-08", "01:00", "04:00", 120),
        ("America/New_York", "2026-11-01", "01:30", "04:00", 210),
        ("Australia/Lord_Howe", "2026-10-04", "01:00", "04:00", 150),
        ("Pacific/Apia", "2026-06-01", "00:00", "24:00", 1440),
    ],
)
def test_hours_that_do_not_exist_are_not_worked_and_those_that_come_twice_are_worked_twice(
    zone: str, day: str, begin: str, end: str, minutes: int
) -> None:
    hours = night(begin, end, zone)
    midnight = at(f"{day} 00:00", zone)
    finished = hours.add(midnight, minutes)
    tomorrow = midnight.astimezone(ZoneInfo(zone)).date() + timedelta(days=1)
    assert finished.astimezone(ZoneInfo(zone)).date() <= tomorrow
    assert finished == hours.add(midnight, minutes - 1) + timedelta(minutes=1)
    # One minute more is the first of the next day's hours.
    begins = datetime.combine(tomorrow, datetime.strptime(begin, "%H:%M").time(), ZoneInfo(zone))
    assert hours.add(midnight, minutes + 1) == begins.astimezone(UTC) + timedelta(minutes=1)


ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"])
MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))


@given(ZONES, MOMENTS, st.integers(1, 5000), st.integers(1, 5000))
def test_more_minutes_are_due_later_and_time_adds_up(zone: str, now: datetime, first: int, second: int) -> None:
    hours = Hours(zone=ZoneInfo(zone), week=(read_spans(["00:30-03:30", "09:00-17:00"]),) * 5 + ((), ()))
    middle = hours.add(now, first)
    assert now + timedelta(minutes=first) <= middle < hours.add(now, first + second)
    assert hours.add(middle, second) == hours.add(now, first + second)


def test_a_raised_priority_has_its_own_time_after_the_one_that_was_missed() -> None:
    sla = Sla(minutes={"urgent": 30, "high": 60, "normal": 120}, breach="raise")
    now = at("2026-03-02 09:00")
    assert sla.ladder("normal", now) == (
        Due(priority="normal", at=now + timedelta(minutes=120)),
        Due(priority="high", at=now + timedelta(minutes=180)),
        Due(priority="urgent", at=now + timedelta(minutes=210)),
    )
    assert [each.priority for each in Sla(breach="escalate").ladder("low", now)] == ["low"]
    assert [above(each) for each in ("low", "urgent", "whatever")] == ["normal", None, None]


@pytest.mark.parametrize(
    ("section", "complaint"),
    [
        ({"hours": {"timezone": "Mars/Base", "mon": ["09:00-17:00"]}}, "no such time zone"),
        ({"hours": {"timezone": "UTC", "mon": ["9-17"]}}, "'9-17' are no hours"),
        ({"hours": {"timezone": "UTC", "mon": ["17:00-09:00"]}}, "the end after the begin"),
        ({"hours": {"timezone": "UTC", "mon": ["09:00-12:00", "11:00-13:00"]}}, "begins before the hours"),
        ({"hours": {"timezone": "UTC"}}, "an hour of work at least"),
        ({"holidays": ["2026-01-01"]}, "mean nothing without `hours`"),
        ({"minutes": {}}, "at least 1"),
    ],
)
def test_what_is_no_schedule_is_refused(section: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        Sla.model_validate(section)

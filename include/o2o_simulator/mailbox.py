"""The simulator's memory: who has an account, which e-mails went out, what each call got."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from o2o_simulator.journal import Journal
from o2o_simulator.records import (
    Call,
    CallAnswered,
    CallArrived,
    Emptied,
    Event,
    Mail,
    OtherRequest,
    Subject,
    Summary,
)


def person_key(address: str) -> str:
    """What o2o knows a person by: the e-mail address, in whatever case."""
    return address.lower()


class Mailbox:
    """Every change is an event, written to the journal (if any) before it counts; nothing here scans."""

    def __init__(self, journal: Journal | None = None) -> None:
        self._journal = journal
        self._next_call = 1
        self._in_flight = 0
        self._max_in_flight = 0
        self._handlers: dict[type[Event], Callable[..., None]] = {
            Mail: self._apply_mail,
            CallArrived: self._apply_arrival,
            CallAnswered: self._apply_answer,
            OtherRequest: self._apply_request,
            Emptied: self._forget,
        }
        self._forget()

    def load(self) -> None:
        """Take over what the journal remembers; JournalError when it cannot be read."""
        if self._journal is None:
            return
        for event in self._journal.open():
            self._apply(event)
        # Calls that were open when the former process ended will never be answered.
        self._in_flight = 0

    def close(self) -> None:
        """Release the journal; what is in memory stays readable."""
        if self._journal is not None:
            self._journal.close()

    def open_call(self, fault: str | None = None) -> int:
        """Note that a call arrived; gives its number, which a reset does not start over."""
        number = self._next_call
        self._record(CallArrived(number, datetime.now(UTC), fault))
        return number

    def close_call(self, number: int, status: int | None, employee_id: str | None) -> None:
        """Note that the server is done with a call."""
        self._record(CallAnswered(number, status, employee_id))

    def send(self, call: int, to: str, subject: Subject, employee_id: str | None) -> None:
        """Send one e-mail, that is, keep it."""
        self._record(Mail(call, datetime.now(UTC), to, subject, employee_id))

    def note_request(self, status: int, token_leaked: bool = False) -> None:
        """Count a request that is no call."""
        self._record(OtherRequest(status, token_leaked))

    def reset(self) -> None:
        """Forget mails, people, calls and counters."""
        self._record(Emptied())

    def has_account(self, address: str) -> bool:
        """Whether a registration of this address succeeded before."""
        return person_key(address) in self._accounts

    @property
    def mails(self) -> list[Mail]:
        """A copy, oldest first."""
        return self._mails.copy()

    @property
    def repeated_mails(self) -> list[Mail]:
        """A copy of each person's second and later mails, oldest first."""
        return self._repeated.copy()

    @property
    def calls(self) -> list[Call]:
        """A copy, in order of arrival."""
        return list(self._calls.values())

    def summary(self) -> Summary:
        """The numbers, without a scan over mails or calls."""
        statuses = {str(status): count for status, count in sorted(self._statuses.items())}
        if unanswered := len(self._calls) - self._answered:
            statuses["none"] = unanswered
        return Summary(
            calls=len(self._calls),
            in_flight=self._in_flight,
            max_in_flight=self._max_in_flight,
            requests_by_status=statuses,
            mails=len(self._mails),
            mails_by_subject={subject.value: self._subjects[subject] for subject in Subject},
            people=len(self._accounts),
            people_mailed=len(self._mails_per_person),
            people_mailed_more_than_once=self._people_mailed_more_than_once,
            faults_by_kind=dict(sorted(self._faults.items())),
            tokens_leaked=self._tokens_leaked,
        )

    def _record(self, event: Event) -> None:
        if self._journal is not None:
            self._journal.append(event)
        self._apply(event)

    def _apply(self, event: Event) -> None:
        self._handlers[type(event)](event)

    def _apply_mail(self, mail: Mail) -> None:
        key = person_key(mail.to)
        self._mails.append(mail)
        self._subjects[mail.subject] += 1
        self._mails_per_person[key] += 1
        if self._mails_per_person[key] > 1:
            self._repeated.append(mail)
        if self._mails_per_person[key] == 2:
            self._people_mailed_more_than_once += 1
        if mail.subject is not Subject.FAILED:
            self._accounts.add(key)

    def _apply_arrival(self, arrival: CallArrived) -> None:
        self._calls[arrival.call] = Call(arrival.call, arrival.at, fault=arrival.fault)
        self._next_call = arrival.call + 1
        if arrival.fault is not None:
            self._faults[arrival.fault] += 1
        self._in_flight += 1
        self._max_in_flight = max(self._max_in_flight, self._in_flight)

    def _apply_answer(self, answer: CallAnswered) -> None:
        self._in_flight -= 1
        call = self._calls.get(answer.call)
        if call is None:  # it arrived before a reset
            return
        self._calls[answer.call] = replace(call, status=answer.status, employee_id=answer.employee_id, done=True)
        if answer.status is not None:
            self._statuses[answer.status] += 1
            self._answered += 1

    def _apply_request(self, request: OtherRequest) -> None:
        self._statuses[request.status] += 1
        self._tokens_leaked += request.token_leaked

    def _forget(self, _: Emptied | None = None) -> None:
        self._mails: list[Mail] = []
        self._repeated: list[Mail] = []
        self._calls: dict[int, Call] = {}
        self._answered = 0
        self._accounts: set[str] = set()
        self._mails_per_person: Counter[str] = Counter()
        self._people_mailed_more_than_once = 0
        self._subjects: Counter[Subject] = Counter()
        self._statuses: Counter[int] = Counter()
        self._faults: Counter[str] = Counter()
        self._tokens_leaked = 0
        self._max_in_flight = self._in_flight

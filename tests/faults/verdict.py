"""What a scenario came to: one row of the table, and whether the promise held."""

from __future__ import annotations

from dataclasses import dataclass

from o2o_registration import actions
from o2o_registration import ledger as ledgers
from o2o_registration.actions import Action, Order

from tests.faults.world import World


@dataclass(frozen=True)
class Verdict:
    """People and calls of one scenario. `allowed` second mails: repeated out of doubt, and marked so in the audit."""

    fault: str
    injected: int
    employees: int
    calls: int
    lost: int
    mailed_twice: int
    allowed: int
    in_doubt: int
    broken: tuple[str, ...]

    @property
    def good(self) -> bool:
        return not self.lost and self.mailed_twice <= self.allowed and not self.broken


def judge(world: World, fault: str, injected: int) -> Verdict:
    """After the scenario has drained. What is in doubt is cleared as a person would who asks o2o, and then nobody
    may be missing."""
    doubtful = world.ids("in_doubt")
    excused = doubtful | world.ids("rejected")
    missing = world.expected - set(world.mails()) - excused
    _ask_o2o(world, doubtful)
    missing |= world.expected - set(world.mails()) - world.ids("rejected")
    mails = world.mails()
    return Verdict(
        fault=fault,
        injected=injected,
        employees=len(world.expected),
        calls=world.simulator.summary().calls,
        lost=len(missing),
        mailed_twice=sum(count - 1 for count in mails.values() if count > 1),
        allowed=_repeated(world),
        in_doubt=len(doubtful),
        broken=(*world.broken, *_breaches(world)),
    )


def _ask_o2o(world: World, doubtful: set[str]) -> None:
    there = tuple(sorted(doubtful & set(world.mails())))
    gone = tuple(sorted(doubtful - set(there)))
    world.simulator.clear_faults()
    engine = ledgers.connect(world.url)
    for action, ids in ((Action.CONFIRM, there), (Action.RELEASE, gone)):
        if ids:
            actions.carry_out(engine, Order(action, ids, "harness", "the mailbox says so"))
    engine.dispose()
    if doubtful:
        world.drain()


def _repeated(world: World) -> int:
    """Calls that the policy repeated, each marked."""
    ((count,),) = world.query("""
        select count(*) from o2o.attempt t join o2o.audit a on a.attempt_id = t.id and a.event = t.outcome
        where t.kind = 'resend' and a.detail like '(repeated out of doubt)%'
          and not exists (select from o2o.audit r where r.employee_id = t.employee_id and r.event = 'released')
    """)
    return int(count)


def _breaches(world: World) -> list[str]:
    """The rules that the ledger itself can be held to, in words; empty when all hold."""
    found = [f"{count} {what}" for what, sql in _RULES.items() if (count := world.query(sql)[0][0])]
    attempts = dict(world.query("select employee_id, count(*) from o2o.attempt group by 1"))
    called: dict[str, int] = {}
    for call in world.simulator.calls:
        if call.employee_id is not None:
            called[call.employee_id] = called.get(call.employee_id, 0) + 1
    unannounced = sum(calls > attempts.get(employee, 0) for employee, calls in called.items())
    if unannounced:
        found.append(f"{unannounced} people called without an attempt")
    if leaked := world.simulator.summary().tokens_leaked:
        found.append(f"{leaked} tokens leaked")
    if lines := _personal(world):
        found.append(f"{lines} log lines with personal data")
    return found


_RULES = {
    "runs whose rows do not add up": """
        select count(*) from o2o.run_summary
        where settled_at is not null and extracted <> known + quarantined + registered
    """,
    "closed attempts without an audit row": """
        select count(*) from o2o.attempt t
        where closed_at is not null and not exists (
            select from o2o.audit a where a.attempt_id = t.id and a.event = t.outcome)
    """,
    "attempts left open": "select count(*) from o2o.attempt where closed_at is null",
    "people neither registered, rejected, in doubt nor held": """
        select count(*) from o2o.registration where status in ('pending', 'claimed')
    """,
    "employees that the ledger does not know": """
        select count(*) from hr.employee e
        where not exists (select from o2o.registration r where r.employee_id = e.employee_id)
          and not exists (select from o2o.quarantine q where q.source_key = e.employee_id)
    """,
}


def _personal(world: World) -> int:
    text = (world.folder / "tasks.log").read_text(errors="replace")
    return sum("@example.com" in line or "Peeters" in line or "Bearer" in line for line in text.splitlines())

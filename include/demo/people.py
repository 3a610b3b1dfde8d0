"""Belgian HR people who do not exist: the same for the same seed, each with an e-mail address of their own.

Person n is always the same person, so that a defect can be mended by asking who n really is.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from random import Random

SEED = 2026
STARTERS = 120
"""So many people are HR's staff as it was; whoever comes later comes because of an interest in a bike."""
INTERESTED_SHARE = 0.45
STARTERS_PER_DEFECT = 7
NEWCOMERS_PER_DEFECT = 10

COMPANIES = {"ACME": "acme.example", "GLOBEX": "globex.example", "INITECH": "initech.example"}
CONTRACT_TYPES = ("white_collar", "white_collar", "blue_collar", None)

_FIRST_NAMES = {
    "nl": """Jan|Pieter|Dirk|Wout|Lotte|Sofie|Annelies|Joris|Tine|Bart|Ruben|Femke|Maarten|Ilse|Koen|Loïc
        |Zoë|Thijs|Noor|Stijn|Hilde|Anaïs|Jef|Saartje|Wim|Kaat|Renée|Seppe|Liesbeth""",
    "fr": """Amélie|Benoît|Céline|François|Hélène|Jérôme|Léa|Mathieu|Noémie|Océane|Rémi|Sébastien|Aurélie
        |Gaëlle|Jean-Luc|Marie-Ève|Xavier|Élise|Loïc|Chloé|Grégoire|Fabienne|Aïcha|Maïté|Étienne|Solène""",
    "en": """Emma|Oliver|Charlotte|Liam|Zuzanna|Björn|Siobhán|Ayşe|Mehmet|Priya|José|Łukasz|Ingrid|Fatima
        |Niamh|Søren|Giulia|Yusuf|Grace|Daniel|Hannah|Kofi|Sinéad|Andrés|Ewa""",
}
_LAST_NAMES = {
    "nl": """Peeters|Janssens|Maes|Jacobs|Mertens|Willems|Claes|Goossens|Wouters|De Smet|Van den Broeck|Vermeulen
        |D'Hondt|Van der Auwera|De Clercq|Hermans|Aerts|Michiels|Vandenberghe|'t Kint|Coppens|Lemmens""",
    "fr": """Dubois|Lambert|Dupont|Martin|Simon|Leclercq|Lefèvre|François|Gérard|Béguin|Delvaux|D'Ursel
        |Noël|Collard|Bouchat|De Brouckère|Hénin|Lejeune|Piérard|Marchal|Wéry|Antoine|Crèvecœur""",
    "en": """Johansson|O'Brien|Smith|Nowak|Yıldız|García|Kowalczyk|Müller|Åkesson|Novák|Rossi|Van Damme|Brown
        |Sørensen|Ferreira|MacLeod|Okafor|Şahin|Popescu|Taylor-Wood|Singh|El Amrani""",  # noqa: RUF001
}
# What Unicode does not take apart into a letter and its accent.
_LETTERS = str.maketrans({"ł": "l", "ø": "o", "ı": "i", "œ": "oe", "æ": "ae", "ß": "ss", "đ": "d"})  # noqa: RUF001


@dataclass(frozen=True)
class Person:
    """A row of `hr.employee`, but for its date of change."""

    employee_id: str
    personnel_number: str | None
    first_name: str | None
    last_name: str | None
    work_email: str | None
    language_code: str | None
    contract_type: str | None
    company_code: str | None
    bike_interest: bool


@dataclass(frozen=True)
class Defect:
    """Something that HR got wrong about a person. `neighbour` is the interested person before that one."""

    title: str
    apply: Callable[[Person, Person], Person]


DEFECTS = (
    Defect("e-mail address without @", lambda p, _: replace(p, work_email=(p.work_email or "").replace("@", "."))),
    Defect("no last name", lambda p, _: replace(p, last_name=None)),
    Defect("language that o2o does not speak", lambda p, _: replace(p, language_code="de")),
    Defect("company without a bike plan", lambda p, _: replace(p, company_code="HOOLI")),
    Defect("e-mail address of a colleague", lambda p, neighbour: replace(p, work_email=neighbour.work_email)),
    Defect("unknown contract type", lambda p, _: replace(p, contract_type="intern")),
    Defect("no e-mail address", lambda p, _: replace(p, work_email=None)),
    Defect("blank first name", lambda p, _: replace(p, first_name="  ")),
)


@dataclass(frozen=True)
class Entry:
    """A person as they are, and as HR has them."""

    person: Person
    as_in_hr: Person
    defect: Defect | None = None


def staff(count: int, *, seed: int = SEED) -> list[Entry]:
    """The first `count` people."""
    namesakes: Counter[str] = Counter()
    entries: list[Entry] = []
    neighbour: Person | None = None
    interested = 0
    for number in range(1, count + 1):
        person = _person(number, seed, namesakes)
        defect = None
        if person.bike_interest:
            interested += 1
            defect = _defect(number, interested) if neighbour else None
        as_in_hr = defect.apply(person, neighbour) if defect and neighbour else person
        entries.append(Entry(person, as_in_hr, defect))
        if person.bike_interest and defect is None:
            neighbour = person
    return entries


def _defect(number: int, interested: int) -> Defect | None:
    per_defect = STARTERS_PER_DEFECT if number <= STARTERS else NEWCOMERS_PER_DEFECT
    # Somewhere in the middle of each handful, so that the first and the last of a list are sound people.
    turn, place = divmod(interested, per_defect)
    return DEFECTS[turn % len(DEFECTS)] if place == per_defect // 2 else None


def _person(number: int, seed: int, namesakes: Counter[str]) -> Person:
    random = Random(f"{seed}:{number}")
    language = random.choices(("nl", "fr", "en"), weights=(55, 35, 10))[0]
    first_name = random.choice(_choices(_FIRST_NAMES[language]))
    last_name = random.choice(_choices(_LAST_NAMES[language]))
    company = random.choice(tuple(COMPANIES))
    contract_type = random.choice(CONTRACT_TYPES)
    interested = random.random() < INTERESTED_SHARE
    return Person(
        employee_id=f"E{100_000 + number}",
        personnel_number=f"{company[0]}{20_000 + number}",
        first_name=first_name,
        last_name=last_name,
        work_email=_address(first_name, last_name, COMPANIES[company], namesakes),
        language_code=language,
        contract_type=contract_type,
        company_code=company,
        bike_interest=interested or number > STARTERS,
    )


@cache
def _choices(names: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in names.split("|"))


def number_of(employee_id: str, personnel_number: str | None) -> int | None:
    """Which person this is, or None for somebody whom a user added by hand."""
    digits = employee_id.removeprefix("E")
    if not (employee_id.startswith("E") and digits.isascii() and digits.isdigit()):
        return None
    number = int(digits) - 100_000
    ours = number > 0 and (personnel_number or "")[1:] == str(20_000 + number)
    return number if ours else None


def _address(first_name: str, last_name: str, domain: str, namesakes: Counter[str]) -> str:
    name = f"{_plain(first_name)}.{_plain(last_name)}"
    namesakes[f"{name}@{domain}"] += 1
    count = namesakes[f"{name}@{domain}"]
    return f"{name}{count if count > 1 else ''}@{domain}"


def _plain(name: str) -> str:
    letters = unicodedata.normalize("NFKD", name.lower().translate(_LETTERS))
    return "".join(letter for letter in letters if letter.isascii() and (letter.isalpha() or letter == "-"))

"""`python -m demo.fill`: puts the demo's people into an HR warehouse, for docker-compose.yaml."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import sqlalchemy as sa

from demo.warehouse import Warehouse


def main(arguments: list[str] | None = None) -> int:
    """Exit code 2 when the file or the warehouse cannot be reached."""
    parser = argparse.ArgumentParser(prog="python -m demo.fill", description=__doc__)
    parser.add_argument("--url-file", type=Path, required=True, help="the file with the warehouse's SQLAlchemy URL")
    parser.add_argument("--more", type=int, default=0, metavar="N", help="add so many interested people")
    options = parser.parse_args(arguments)
    try:
        warehouse = Warehouse(options.url_file.read_text().strip())
        warehouse.create()
        filled = warehouse.fill()
        added = warehouse.add(options.more) if options.more > 0 else None
    except OSError as error:
        parser.error(f"{options.url_file} cannot be read ({error.strerror})")
    except sa.exc.ArgumentError:
        parser.error(f"{options.url_file} holds no SQLAlchemy URL")
    except sa.exc.OperationalError as error:
        parser.error(f"the warehouse named in {options.url_file} does not answer: {error.orig}")
    print(f"The HR warehouse has {filled.people} new people, {filled.interested} of them interested in a bike.")
    if added:
        print(f"Added {added.people} interested people; {len(added.defects)} of the rows have a defect.")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Fields of a line, separated by semicolons."""

from __future__ import annotations


def fields(line: str) -> list[str]:
    """Return the fields; quotes keep semicolons together, a quote inside quotes is written twice."""
    found = []
    rest = line
    while rest:
        if rest[0] == '"':
            end = rest.index('"', 1)
            found.append(rest[1:end])
            rest = rest[end + 2 :]
        else:
            field, _, rest = rest.partition(";")
            found.append(field)
    return found


def column(lines: list[str], number: int) -> list[str]:
    """Return one column of all lines."""
    return [fields(line)[number] for line in lines]

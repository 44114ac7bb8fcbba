"""Says on which days rules fall, as python-dateutil reads them: [[rule, start, from, to], ...] in, lists of days out."""

import datetime
import json
import sys

from dateutil.rrule import rrulestr

# python-dateutil looks for days of a rule that never comes true until here; every range that is asked for ends before.
datetime.MAXYEAR = 2035


def days(rule, start, first, last):
    first, last = (datetime.datetime.fromisoformat(day) for day in (first, last))
    found = []
    for begins in rrulestr(rule, dtstart=datetime.datetime.fromisoformat(start)):
        if begins > last:
            break
        if begins >= first:
            found.append(begins.date().isoformat())
    return found


json.dump([days(*asked) for asked in json.load(sys.stdin)], sys.stdout)

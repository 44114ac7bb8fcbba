from meters.readings import total

total(["M7: 980", "M8: 1,204"])

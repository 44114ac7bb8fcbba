from pay.hours import compare

compare([("a", 100, 60), ("b", 0, 0)])

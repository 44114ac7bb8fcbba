from rota.shifts import week

week(["mon", "sun"], [("mon", "ida", 9), ("tue", "jo", 8)])

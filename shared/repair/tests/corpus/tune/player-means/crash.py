from league.table import ranking

ranking({"ada": 1.5, "cy": 0.0}, {"ada": 2, "cy": 0})

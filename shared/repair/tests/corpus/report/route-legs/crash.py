from routes.legs import ascent

ascent([100, 250, 180])

from parcels.rates import postage

postage(" de", 2500)

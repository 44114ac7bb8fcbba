from stock.count import receive

receive({"cup": 4}, [("pan", 2), ("cup", 1)])

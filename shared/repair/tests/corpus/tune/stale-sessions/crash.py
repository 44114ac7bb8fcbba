from sessions.store import sweep

sweep({"a": 5, "b": 10, "c": 99}, 100)

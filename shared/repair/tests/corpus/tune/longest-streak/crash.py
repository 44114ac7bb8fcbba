from habits.streaks import badge

badge([False, False])

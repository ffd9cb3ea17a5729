std = "lua54"
files["configs/sweeps"] = { read_globals = { "log", "uniform" } } -- the words of a sweep's random

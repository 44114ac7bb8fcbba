from settings.lines import read

read("host = a.example\nquery = a=1\n")

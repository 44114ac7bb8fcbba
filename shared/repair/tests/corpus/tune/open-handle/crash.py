import io

from logs.tail import last_line

last_line(io.StringIO(""))

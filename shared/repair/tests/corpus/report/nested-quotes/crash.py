from csvline.fields import column

column(['x;y', '"a"";";1'], 1)

from posts.tags import Post, page

page([Post("x", ["a"]), Post("y")])

import unittest


class Judge(unittest.TestCase):
    pass

"""Random sequences of what tills, citizens and time do to money, on two backends that must agree.

`books` is the pure model: the table of states, the calculator and plain dictionaries. `services` is
the product. `rules` drives either, or both side by side, and tells which rules, and which pairs of
rules, were reached.
"""

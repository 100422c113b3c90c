"""How well search finds and ask answers, and how fast; begin with `__main__.py`. The recordings and questions that it
plays are in `set/`.
"""
